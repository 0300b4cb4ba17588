use super::*;
use tidegate::{Scalar, Value, Values, testing};

fn fields() -> [Field; 2] {
    [("room", Scalar::Integer), ("device", Scalar::Text)].map(|(name, scalar)| Field {
        name: name.into(),
        scalar,
        unit: String::new(),
    })
}

fn sites() -> Enrichment {
    testing::table("sites", "device,site,floor:i64\nd1,north,1\nd2,south,\n");
    Enrichment { table: "sites".into(), by: "device".into(), columns: None, unknown: "keep".into() }
}

fn configured(params: Enrichment) -> (Enrich, Plan) {
    Enrich::configure(params, &fields()).unwrap_or_else(|issues| panic!("{issues:?}"))
}

fn batch(devices: &[&str]) -> Batch {
    let mut column = Column::empty(Scalar::Text);
    devices.iter().for_each(|device| device.to_string().push(&mut column));
    Batch { rows: devices.len() as u32, times: None, slots: None, columns: vec![column] }
}

fn floors(table: &Table, at: usize) -> Vec<Option<i64>> {
    let Values::Integers(values) = &table.columns[at].values else { panic!("integers") };
    (0..values.len()).map(|row| table.columns[at].is_valid(row).then_some(values[row])).collect()
}

#[test]
fn a_record_gets_its_row_and_one_without_gets_nulls() {
    let (mut enrich, plan) = configured(sites());
    assert_eq!(plan.reads, ["device"]);
    assert_eq!(plan.emits.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["site", "floor"]);
    let made = enrich.apply(&batch(&["d2", "d1", "d9"]));
    assert_eq!((floors(&made, 1), made.origin), (vec![None, Some(1), None], None));
}

#[test]
fn what_becomes_of_a_record_without_a_row_is_said() {
    let unknown = |word: &str| Enrichment { unknown: word.into(), columns: Some(vec!["floor".into()]), ..sites() };
    let dropped = configured(unknown("drop")).0.apply(&batch(&["d9", "d1", "d8"]));
    assert_eq!((floors(&dropped, 0), dropped.origin, dropped.columns.len()), (vec![Some(1)], Some(vec![1]), 1));
    let rejected = configured(unknown("reject")).0.apply(&batch(&["d1", "d9"]));
    let fault = Fault { row: 1, reason: "table sites has no row of its device".into() };
    assert_eq!((floors(&rejected, 0), rejected.faults), (vec![Some(1), None], vec![fault]));
    let all_there = configured(unknown("drop")).0.apply(&batch(&["d1", "d2"]));
    assert_eq!((floors(&all_there, 0), all_there.origin), (vec![Some(1), None], None));
}

#[test]
fn everything_wrong_is_told_at_once() {
    let issues = |params: Enrichment| {
        let issues = Enrich::configure(params, &fields()).err().expect("refused");
        issues.into_iter().map(|issue| format!("{}: {}", issue.at, issue.message)).collect::<Vec<_>>()
    };
    let columns = Some(["site", "site", "room", "device"].map(String::from).to_vec());
    assert_eq!(
        issues(Enrichment { by: "room".into(), columns, unknown: "lose".into(), ..sites() }),
        [
            "/unknown: \"lose\" is none of keep, drop and reject",
            "/by: column device of table sites is text, field room i64: if its values are, write tables.sites.fields = \
             { device = \"i64\" }",
            "/columns: site is added twice",
            "/columns: table sites has no column \"room\"; it has device, site, floor",
            "/columns: every record has its device already"
        ]
    );
    assert_eq!(
        issues(Enrichment { table: "site".into(), by: "Device".into(), ..sites() }),
        [
            "/by: the input has no field \"Device\"; it has room, device",
            "/table: there is no table \"site\"; there are sites"
        ]
    );
}
