use super::*;
use crate::functions::{FilterFn, FilterOf};
use crate::{Batch, Filter as _, Plugin as _, testing};

#[derive(tidegate_sdk_macros::Record)]
struct Reading {
    temp: f64,
    #[record(table = "sites")]
    site: Option<Site>,
    #[record(table = "rooms", key = "room")]
    of_room: Room,
    room: Option<i64>,
}

#[derive(tidegate_sdk_macros::Record)]
struct Site {
    target: f64,
}

#[derive(tidegate_sdk_macros::Record)]
struct Room {
    heated: Option<bool>,
}

struct Warm;

impl FilterFn for Warm {
    type Record = Reading;
    type State = ();
    type Params = ();
    type Outcome = bool;

    fn keep(r: &Reading, (): &mut (), (): &()) -> bool {
        assert!(r.room.is_some());
        r.of_room.heated.unwrap_or(true) && r.site.as_ref().is_none_or(|site| r.temp > site.target)
    }
}

fn fields() -> Vec<Field> {
    let fields = [("temp", Scalar::Float), ("room", Scalar::Integer), ("device", Scalar::Text)];
    fields.map(|(name, scalar)| Field { name: name.into(), scalar, unit: String::new() }).into()
}

fn tables() {
    testing::table("sites", "device,target:f64\nd1,20\nd2,\nd3,10\n");
    testing::table("rooms", "number:i64,heated:bool\n7,true\n8,false\n9,\n");
}

/// Device, room and temperature a record.
fn batch(rows: &[(&str, Option<i64>, f64)]) -> Batch {
    let mut columns = vec![Column::empty(Scalar::Float), Column::empty(Scalar::Integer), Column::empty(Scalar::Text)];
    for (device, room, temp) in rows {
        crate::Value::push(*temp, &mut columns[0]);
        crate::Value::push(*room, &mut columns[1]);
        crate::Value::push(device.to_string(), &mut columns[2]);
    }
    Batch { rows: rows.len() as u32, times: None, slots: None, columns }
}

#[test]
fn a_row_of_a_table_is_a_field_like_any() {
    tables();
    let (mut plugin, plan) = FilterOf::<Warm>::configure((), &fields()).expect("configures");
    assert_eq!(plan.reads, ["temp", "room", "device"], "the key is read, too");
    let mut faults = Vec::new();
    let rows = [
        ("d1", Some(7), 21.0),
        ("d1", Some(7), 19.0),
        ("d9", Some(9), 1.0),
        ("d1", Some(8), 21.0),
        ("d1", Some(6), 21.0),
        ("d1", None, 21.0),
        ("d2", Some(7), 21.0),
    ];
    assert_eq!(plugin.keep(&batch(&rows), &mut faults)[..4], [1, 0, 1, 0]);
    let told: Vec<(u32, &str)> = faults.iter().map(|fault| (fault.row, fault.reason.as_str())).collect();
    let no_room = "table rooms has no row of its room";
    assert_eq!(told, [(4, no_room), (5, no_room), (6, "target of table sites is null")]);
    // One by one it is the same.
    for (row, one) in rows[..4].iter().zip([1, 0, 1, 0]) {
        assert_eq!(plugin.keep(&batch(&[*row]), &mut faults), [one]);
    }
    assert_eq!(faults.len(), 3);
}

#[test]
fn what_a_record_wants_of_its_tables_is_checked_while_configured() {
    let issues = || {
        let issues = FilterOf::<Warm>::configure((), &fields()).err().expect("issues");
        issues.into_iter().map(|issue| issue.message).collect::<Vec<_>>()
    };
    testing::table("rooms", "number,heated:bool\n");
    assert_eq!(
        issues(),
        [
            "there is no table \"sites\"; there are rooms",
            "column number of table rooms is text, the field room that is looked up i64: if its values are, write \
             tables.rooms.fields = { number = \"i64\" }"
        ]
    );
    tables();
    testing::table("sites", "device,aim:f64\n");
    assert_eq!(issues(), ["table sites has no column \"target\"; it has device, aim"]);
    testing::table("sites", "device,target:i64\n");
    assert_eq!(
        issues(),
        [
            "column target of table sites is i64, the plugin f64: if its values are, write tables.sites.fields = { target = \"f64\" }"
        ]
    );
}

#[test]
fn pieces_of_an_answer_are_the_whole_of_it() {
    testing::table("sites", "device,target:f64,name\nd1,20,north\nd2,,south\nd3,10,\n");
    let sites = table("sites").expect("there");
    let mut keys = Column::empty(Scalar::Text);
    ["d3", "d9", "d1", "d2", "d1"].iter().for_each(|key| crate::Value::push(key.to_string(), &mut keys));
    let whole = sites.find(&keys, &["device", "name", "target"]);
    for cut in 0..=5 {
        let mut columns = sites.find(&slice(&keys, 0..cut), &["device", "name", "target"]);
        let more = sites.find(&slice(&keys, cut..5), &["device", "name", "target"]);
        columns.iter_mut().zip(more).for_each(|(column, more)| append(column, more));
        let valid = |columns: &[Column]| {
            let rows = |column: &Column| (0..5).map(|row| column.is_valid(row)).collect::<Vec<_>>();
            columns.iter().map(rows).collect::<Vec<_>>()
        };
        assert_eq!(valid(&columns), valid(&whole), "cut at {cut}");
        assert!(columns.iter().zip(&whole).all(|(a, b)| a.values == b.values), "cut at {cut}");
    }
}
