use tidegate::{Finding, Record};

#[derive(Record)]
struct Climate {
    temp: f64,
}

#[tidegate::filter]
fn warm(r: &Climate) -> bool {
    r.temp > 20.0
}

#[tidegate::detect] //~ the name `ThePluginOfThisCrate` is defined multiple times
fn jump(r: &Climate) -> Option<Finding> {
    None
}
