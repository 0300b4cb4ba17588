use tidegate::{Emits, Params, Record};

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

#[derive(Record)]
struct Renamed {
    #[record(table = "sites", name = "place")] //~ name is of a field of the records: this one is a row of a table
    site: Option<Site>,
}

#[derive(Record)]
struct Keyed {
    #[record(key = "room")] //~ key looks a row of a table up: name the table beside it, table = "…"
    hum: f64,
}

#[derive(Record)]
struct Doubled {
    #[record(name = "rel-hum", name = "hum")] //~ name stands there twice: take one away
    hum: f64,
}

#[derive(Emits)]
struct Told {
    #[record(table = "sites")] //~ table is none of name, unit: #[record(name = …)]
    site: f64,
}

const LIMIT: f64 = 3.0;

#[derive(Params)]
struct Limited {
    #[param(default = LIMIT)] //~ expected a number, a text, true or false, written out
    above: f64,
}
