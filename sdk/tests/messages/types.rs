use tidegate::{Emits, Params, Record};

#[derive(Record)]
struct Climate {
    temp: f32, //~ a field of a record cannot be `f32` | it is f64, i64, bool, String, Vec<u8>, or an Option of these
}

#[derive(Emits)]
struct Made {
    count: u64, //~ an emitted field cannot be `u64` | it is f64, i64, bool, String, or an Option of these
}

#[derive(Params)]
struct Warm {
    above: char, //~ a parameter cannot be `char` | it is f64, i64, u32, bool, String, or an Option or a Vec of these
}
