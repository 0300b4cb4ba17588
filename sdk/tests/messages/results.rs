use tidegate::{Emits, Record};

#[derive(Record)]
struct Climate {
    temp: f64,
}

#[derive(Emits)]
struct Made {
    temp: f64,
}

mod number {
    use super::*;
    #[tidegate::filter]
    fn warm(r: &Climate) -> f64 { //~ the function gives `f64`, where `bool` is expected | it may also be a Result of `bool`
        r.temp
    }
}

mod always {
    use super::*;
    #[tidegate::detect]
    fn jump(r: &Climate) -> bool { //~ the function gives `bool`, where `Option<Finding>` is expected
        true
    }
}

mod nothing_made {
    use super::*;
    #[tidegate::transform]
    fn twice(r: &Climate) -> f64 { //~ `f64` is no record that is made | it is a struct with #[derive(Emits)]
        r.temp
    }
}
