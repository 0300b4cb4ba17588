use tidegate::{Emits, Params, Record};

struct Plain {
    temp: f64,
}

#[derive(Record)]
struct Climate {
    temp: f64,
}

mod record {
    use super::*;
    #[tidegate::filter]
    fn warm(r: &Plain) -> bool { //~ `Plain` is no record | write #[derive(Record)] over the struct
        r.temp > 20.0
    }
}

mod params {
    use super::*;
    #[tidegate::filter]
    fn warm(r: &Climate, p: &Plain) -> bool { //~ `Plain` holds no parameters | write #[derive(Params)] over the struct
        r.temp > p.temp
    }
}

#[derive(Record)]
struct Placed {
    #[record(table = "sites")]
    site: Option<Plain>, //~ `Option<Plain>` is no row of a table | it is a struct with #[derive(Record)], or an Option of one
}

#[derive(Record)]
struct Pair(f64, f64); //~ expected a struct with named fields, such as struct Climate { temp: f64 }

#[derive(Emits)]
enum Either { //~ expected a struct with named fields
    One,
}

#[derive(Params)]
struct Generic<T> { //~ the gateway knows no generics
    above: T,
}
