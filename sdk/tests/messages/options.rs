use tidegate::{Params, Record};

#[derive(Record)]
struct Climate {
    #[record(nam = "rel-hum")] //~ nam is none of name, unit, table, key: #[record(name = …)]
    hum: f64,
}

#[derive(Record)]
struct Unnamed {
    #[record(name)] //~ expected a value: name = …
    hum: f64,
}

#[derive(Record)]
struct Numbered {
    #[record(name = 5)] //~ expected a text: name = "…"
    hum: f64,
}

#[derive(Params)]
struct Warm {
    #[param(min = 3.0)] //~ min is none of default, unit: #[param(default = …)]
    above: f64,
}

#[derive(Record)]
struct Site {
    name: String,
}

#[derive(Record)]
struct Placed {
    #[record(table = "sites", key = "room")] //~ the struct has no field "room" to look up: the key is a field beside this one, or the device
    site: Option<Site>,
}
