use tidegate::{Emits, Finding, Frame, Params, Record};

#[derive(Record)]
struct Climate {
    temp: f64,
}

#[derive(Params)]
struct Warm {
    above: f64,
}

#[derive(Emits)]
struct Made {
    temp: f64,
}

mod by_value {
    use super::*;
    #[tidegate::filter]
    fn warm(r: Climate) -> bool { //~ expected a reference, &Climate: fn(&Record, &mut State, &Params) -> bool, where state and parameters may be left out
        r.temp > 20.0
    }
}

mod nothing {
    #[tidegate::filter]
    fn warm() -> bool { //~ it takes no record: fn(&Record, &mut State, &Params) -> bool
        true
    }
}

mod too_many {
    use super::*;
    #[tidegate::filter]
    fn warm(r: &Climate, p: &Warm, q: &Warm) -> bool { //~ this is one too many: fn(&Record, &mut State, &Params) -> bool
        r.temp > p.above + q.above
    }
}

mod mixed {
    use super::*;
    #[tidegate::detect]
    fn jump(r: &Climate, p: &Warm, last: &mut f64) -> Option<Finding> { //~ the state comes before the parameters: fn(&Record, &mut State, &Params)
        None
    }
}

mod state_first {
    use super::*;
    #[tidegate::transform]
    fn rate(last: &mut f64, r: &Climate) -> Made { //~ the record comes first, as &Record
        Made { temp: *last }
    }
}

mod waiting {
    use super::*;
    #[tidegate::codec]
    async fn meter(frame: &Frame) -> Made { //~ a plugin waits for nothing: fn(&Frame) -> Made
        Made { temp: 0.0 }
    }
}

mod generic {
    use super::*;
    #[tidegate::filter]
    fn warm<T: Record>(r: &T) -> bool { //~ the gateway knows no generic function
        true
    }
}

mod no_function {
    #[tidegate::filter]
    struct Warm; //~ expected a function: fn(&Record, &mut State, &Params) -> bool
}

mod no_merge {
    use super::*;
    #[derive(Default)]
    struct Mean;

    #[tidegate::aggregate]
    impl Mean { //~ fn merge is missing: an aggregate is impl State { fn update(&mut self, &Record)
        fn update(&mut self, r: &Climate) {}
        fn finish(&self) -> Made {
            Made { temp: 0.0 }
        }
    }
}
