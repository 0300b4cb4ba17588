//! What frames become.

use super::*;
use proptest::prelude::*;
use std::time::Duration;
use tidegate_record::{Field, Scalar, Values};

const WALL: Wall = Wall { micros: 1_800_000_000_000_000, trusted: true };

fn schema() -> Arc<Schema> {
    let fields = [
        Field::new("temp", Scalar::Float),
        Field::new("count", Scalar::Integer),
        Field::new("on", Scalar::Boolean),
        Field::new("note", Scalar::Text),
    ];
    Arc::new(Schema::new(fields.into()).unwrap())
}

fn json() -> DecodeOptions {
    DecodeOptions { device: Some("/device".into()), time: Some("/ts".into()), ..Default::default() }
}

fn csv() -> DecodeOptions {
    let columns = ["device", "time", "temp", "count", "on", "note"].map(String::from).into();
    DecodeOptions { format: Format::Csv, columns, ..Default::default() }
}

/// The records as JSON lines, or the error.
fn decoded(options: DecodeOptions, topic: Option<&str>, frame: &[u8]) -> Result<Vec<String>, String> {
    let mut out = BatchBuilder::new(schema());
    let mut decoder = Decoder::new(options, schema()).expect("options of a test");
    let count = decoder.decode(topic, frame, WALL, &mut out).map_err(|e| e.to_string());
    let batch = out.finish();
    let rows: Vec<String> = (0..batch.rows()).map(|r| serde_json::to_string(&batch.row(r)).unwrap()).collect();
    match count {
        Ok(count) => assert_eq!(count, rows.len()),
        Err(_) => assert!(rows.is_empty(), "a bad frame left {rows:?}"),
    }
    count.map(|_| rows)
}

#[track_caller]
fn check(options: DecodeOptions, frame: &str, expected: &[&str]) {
    assert_eq!(decoded(options, None, frame.as_bytes()).unwrap(), expected);
}

#[track_caller]
fn refuses(options: DecodeOptions, frame: impl AsRef<[u8]>, sentence: &str) {
    assert_eq!(decoded(options, None, frame.as_ref()).unwrap_err(), sentence);
}

#[test]
fn a_raw_frame_becomes_a_record_as_it_is() {
    let fields = vec![Field::new("frame", Scalar::Bytes), Field::new("topic", Scalar::Text)];
    let schema = Arc::new(Schema::new(fields).unwrap());
    let options =
        DecodeOptions { format: Format::Raw, topic: Some("meters/{device}/raw".into()), ..DecodeOptions::default() };
    let mut decoder = Decoder::new(options.clone(), schema.clone()).unwrap();
    let mut out = BatchBuilder::new(schema);
    assert_eq!(decoder.decode(Some("meters/m1/raw"), &[0, 255, 7], WALL, &mut out), Ok(1));
    assert!(decoder.decode(Some("elsewhere"), &[1], WALL, &mut out).is_err());
    let batch = out.finish();
    let Values::Bytes(frames) = &batch.columns()[0].values else { panic!("bytes") };
    assert_eq!((frames.at(0), batch.device(0), batch.times()), (&[0, 255, 7][..], "m1", &[WALL.micros][..]));
    let Values::Texts(topics) = &batch.columns()[1].values else { panic!("texts") };
    assert_eq!(topics.text(0), "meters/m1/raw");
    let error = Decoder::new(options, self::schema()).map(drop).unwrap_err();
    assert!(error.to_string().contains("frame = \"bytes\""), "{error}");
}

/// Two bytes of a frame would be kilobytes of nulls.
#[test]
fn a_small_frame_of_many_empty_readings_is_refused_where_records_have_many_fields() {
    let fields = (0..256).map(|at| Field::new(format!("f{at}"), Scalar::Float)).collect();
    let schema = Arc::new(Schema::new(fields).unwrap());
    let topic = Some("sensors/d1");
    let json = DecodeOptions { topic: Some("sensors/{device}".into()), ..Default::default() };
    let csv = DecodeOptions {
        format: Format::Csv,
        columns: vec!["f0".into(), "f1".into()],
        device_name: Some("meter".into()),
        ..Default::default()
    };
    let most = VALUES_MAX / 256;
    let objects = |rows: usize| format!("[{}{{}}]", "{},".repeat(rows - 1));
    let lines = |rows: usize| ",\n".repeat(rows);
    for (options, fits, many) in [(&json, objects(most), objects(most + 1)), (&csv, lines(most), lines(most + 1))] {
        let mut decoder = Decoder::new(options.clone(), schema.clone()).unwrap();
        let mut out = BatchBuilder::new(schema.clone());
        assert_eq!(decoder.decode(topic, many.as_bytes(), WALL, &mut out), Err(DecodeError::TooMany(most)));
        assert_eq!(decoder.decode(topic, fits.as_bytes(), WALL, &mut out), Ok(most));
    }
}

#[test]
fn a_flat_reading_becomes_a_record() {
    check(
        json(),
        r#"{"device":"d1","ts":1700000000123,"temp":21.53,"count":7,"on":true,"note":"ok","other":[1,{"temp":5}]}"#,
        &[r#"{"device":"d1","time":"2023-11-14T22:13:20.123000Z","temp":21.53,"count":7,"on":true,"note":"ok"}"#],
    );
}

#[test]
fn what_is_missing_or_null_is_null() {
    check(
        json(),
        r#"{"ts":0,"note":null,"device":"d1"}"#,
        &[r#"{"device":"d1","time":"1970-01-01T00:00:00.000000Z"}"#],
    );
}

#[test]
fn numbers_fit_where_they_lose_nothing() {
    check(
        json(),
        r#"{"device":"d1","ts":0,"temp":3,"count":4.0}"#,
        &[r#"{"device":"d1","time":"1970-01-01T00:00:00.000000Z","temp":3.0,"count":4}"#],
    );
    refuses(json(), r#"{"device":"d1","ts":0,"count":4.5}"#, "count must be a whole number, found 4.5");
    refuses(json(), r#"{"device":"d1","ts":0,"count":1e19}"#, "count is out of range: 10000000000000000000");
    refuses(
        json(),
        r#"{"device":"d1","ts":0,"count":18446744073709551615}"#,
        "count is out of range: 18446744073709551615",
    );
}

#[test]
fn wrong_scalars_name_the_field_and_what_came() {
    refuses(json(), r#"{"device":"d1","ts":0,"temp":"21.5"}"#, "temp must be a number, found the text \"21.5\"");
    refuses(json(), r#"{"device":"d1","ts":0,"temp":{"c":1}}"#, "temp must be a number, found an object");
    refuses(json(), r#"{"device":"d1","ts":0,"on":1}"#, "on must be true or false, found 1");
    refuses(json(), r#"{"device":"d1","ts":0,"note":12}"#, "note must be text, found 12");
    refuses(json(), r#"{"device":true,"ts":0}"#, "device must be text or a whole number, found true");
}

#[test]
fn numbers_in_text_are_numbers_when_asked() {
    let asked = DecodeOptions { numbers_in_text: true, ..json() };
    check(
        asked.clone(),
        r#"{"device":"d1","ts":"1000","temp":" 21.5 ","count":"7","on":"true"}"#,
        &[r#"{"device":"d1","time":"1970-01-01T00:00:01.000000Z","temp":21.5,"count":7,"on":true}"#],
    );
    refuses(asked.clone(), r#"{"device":"d1","ts":0,"temp":"NaN"}"#, "temp is not a finite number: NaN");
    refuses(asked, r#"{"device":"d1","ts":0,"temp":"warm"}"#, "temp must be a number, found the text \"warm\"");
}

#[test]
fn pointers_reach_into_objects_and_arrays() {
    let fields = [("temp", "/values/1/c"), ("note", "/meta/a~1b")].map(|(f, p)| (f.into(), p.into()));
    let options = DecodeOptions { fields: fields.into(), device: Some("/meta/id".into()), ..json() };
    check(
        options,
        r#"{"values":[{"c":1},{"c":2.5},{"c":3}],"ts":0,"meta":{"a/b":"x","id":17}}"#,
        &[r#"{"device":"17","time":"1970-01-01T00:00:00.000000Z","temp":2.5,"note":"x"}"#],
    );
}

#[test]
fn one_payload_may_hold_many_readings_and_what_it_says_for_all() {
    let options = DecodeOptions { records: "/data".into(), ..json() };
    check(
        options.clone(),
        r#"{"device":"d1","note":"n","data":[{"ts":1,"temp":1},{"ts":2,"temp":2,"note":"own"},{"ts":3,"device":"d2","note":null}]}"#,
        &[
            r#"{"device":"d1","time":"1970-01-01T00:00:00.001000Z","temp":1.0,"note":"n"}"#,
            r#"{"device":"d1","time":"1970-01-01T00:00:00.002000Z","temp":2.0,"note":"own"}"#,
            r#"{"device":"d2","time":"1970-01-01T00:00:00.003000Z"}"#,
        ],
    );
    refuses(options.clone(), r#"{"device":"d1"}"#, "no readings at \"/data\": nothing");
    refuses(options, r#"{"device":"d1","data":[{"ts":1},7]}"#, "no readings at \"/data\": 7");
    check(
        json(),
        r#"[{"device":"a","ts":0},{"device":"b","ts":0}]"#,
        &[
            r#"{"device":"a","time":"1970-01-01T00:00:00.000000Z"}"#,
            r#"{"device":"b","time":"1970-01-01T00:00:00.000000Z"}"#,
        ],
    );
    check(json(), "[]", &[]);
}

#[test]
fn a_frame_is_all_or_nothing() {
    let mut out = BatchBuilder::new(schema());
    let mut decoder = Decoder::new(json(), schema()).unwrap();
    decoder.decode(None, br#"{"device":"a","ts":0,"temp":1}"#, WALL, &mut out).unwrap();
    let bad = br#"[{"device":"b","ts":0,"temp":2},{"device":"c","ts":0,"temp":3,"count":"x"}]"#;
    decoder.decode(None, bad, WALL, &mut out).unwrap_err();
    decoder.decode(None, br#"{"device":"d","ts":0}"#, WALL, &mut out).unwrap();
    let batch = out.finish();
    let rows: Vec<_> = (0..batch.rows()).map(|r| (batch.device(r), batch.columns()[0].is_valid(r))).collect();
    assert_eq!(rows, [("a", true), ("d", false)]);
}

#[test]
fn times_come_in_every_unit() {
    let time = |unit, wire: &str| {
        let options = DecodeOptions { time_unit: unit, ..json() };
        let rows = decoded(options, None, format!(r#"{{"device":"d","ts":{wire}}}"#).as_bytes());
        rows.map(|rows| rows[0].split('"').nth(7).unwrap().to_owned())
    };
    let same = Ok("2023-11-14T22:13:20.123456Z".to_owned());
    assert_eq!(time(TimeUnit::Seconds, "1700000000.123456"), same);
    assert_eq!(time(TimeUnit::Millis, "1700000000123.456"), same);
    assert_eq!(time(TimeUnit::Micros, "1700000000123456"), same);
    assert_eq!(time(TimeUnit::Rfc3339, r#""2023-11-14T22:13:20.123456Z""#), same);
    assert_eq!(time(TimeUnit::Rfc3339, r#""2023-11-15T00:13:20.123456+02:00""#), same);
    assert_eq!(time(TimeUnit::Seconds, "-1"), Ok("1969-12-31T23:59:59.000000Z".into()));
    assert_eq!(time(TimeUnit::Seconds, "9223372036854775807"), Err("time is out of range: 9223372036854775807".into()));
    let error = "time must be an RFC 3339 time, found the text \"yesterday\"";
    assert_eq!(time(TimeUnit::Rfc3339, r#""yesterday""#), Err(error.into()));
    let error = "time must be a number of milliseconds since the epoch, found the text \"2023\"";
    assert_eq!(time(TimeUnit::Millis, r#""2023""#), Err(error.into()));
}

#[test]
fn times_far_ahead_of_a_trusted_clock_are_refused() {
    let frame = format!(r#"{{"device":"d","ts":{}}}"#, WALL.micros / 1000 + 5 * 3_600_000);
    refuses(json(), &frame, "time is 5 h ahead of the gateway's clock");
    let mut out = BatchBuilder::new(schema());
    let mut decoder = Decoder::new(json(), schema()).unwrap();
    let error = decoder.decode(None, frame.as_bytes(), WALL, &mut out).unwrap_err();
    assert_eq!(error.stage(), "time");
    let unset = Wall { micros: 0, trusted: false };
    decoder.decode(None, frame.as_bytes(), unset, &mut out).expect("a clock that is not set refuses nothing");
    let allowed = DecodeOptions { max_future: Duration::from_secs(6 * 3600), ..json() };
    assert_eq!(decoded(allowed, None, frame.as_bytes()).map(|rows| rows.len()), Ok(1));
}

#[test]
fn readings_without_a_configured_time_get_the_wall_clock() {
    let options = DecodeOptions { time: None, ..json() };
    check(options, r#"{"device":"d"}"#, &[r#"{"device":"d","time":"2027-01-15T08:00:00.000000Z"}"#]);
    let sentence = "no time at /ts; leave `time` out of the configuration to use the gateway's clock";
    refuses(json(), r#"{"device":"d"}"#, sentence);
    refuses(json(), r#"{"device":"d","ts":null}"#, sentence);
}

#[test]
fn the_topic_names_device_and_fields() {
    let options = DecodeOptions { topic: Some("plant/+/{device}/{note}/{count}".into()), time: None, ..json() };
    let topic = Some("plant/7/d9/east/42");
    let rows = decoded(options.clone(), topic, br#"{"device":"liar","note":5,"temp":1}"#).unwrap();
    let expected = r#"{"device":"d9","time":"2027-01-15T08:00:00.000000Z","temp":1.0,"count":42,"note":"east"}"#;
    assert_eq!(rows, [expected]);
    let sentence = "topic \"plant/7/d9\" does not fit the template \"plant/+/{device}/{note}/{count}\"";
    assert_eq!(decoded(options, Some("plant/7/d9"), b"{}").unwrap_err(), sentence);
    let open = DecodeOptions { topic: Some("{device}/#".into()), time: None, ..json() };
    assert_eq!(decoded(open, Some("d1/a/b"), b"{}").map(|rows| rows.len()), Ok(1));
}

#[test]
fn device_ids_that_cannot_be_keys_are_refused() {
    refuses(json(), r#"{"device":"a/b","ts":0}"#, "device id holds a control character or a '/'");
    refuses(json(), r#"{"device":"a\u0000b","ts":0}"#, "device id holds a control character or a '/'");
    refuses(json(), r#"{"device":"","ts":0}"#, "device id is empty");
    refuses(json(), format!(r#"{{"device":"{}","ts":0}}"#, "x".repeat(300)), "device id is longer than 256 bytes");
    let sentence = "no device at /device; set device_name for devices that do not say";
    refuses(json(), r#"{"ts":0}"#, sentence);
    let named = DecodeOptions { device_name: Some("meter".into()), ..json() };
    check(named, r#"{"ts":0}"#, &[r#"{"device":"meter","time":"1970-01-01T00:00:00.000000Z"}"#]);
}

#[test]
fn hostile_json_is_refused_with_a_sentence() {
    refuses(json(), b"", "not JSON: the frame is empty at byte 0");
    refuses(json(), b"{\"device\":\"\xff\"}", "not JSON: not UTF-8 at byte 11");
    refuses(json(), r#"{"device":"d","ts":0,"temp":1,"temp":2}"#, "temp is there twice");
    refuses(json(), "{\"temp\":NaN}", "not JSON: no JSON value at byte 8");
    refuses(json(), "7", "no readings at \"\": 7");
    for bad in [r#"{"device":"d""#, "{\"temp\":NaN}", "{\"temp\":Infinity}", "nul", "{}{}", r#"{"temp":1e999}"#] {
        let error = decoded(json(), None, bad.as_bytes()).unwrap_err();
        assert!(error.starts_with("not JSON: "), "{bad}: {error}");
    }
    let deep = "[".repeat(5_000_000) + &"]".repeat(5_000_000);
    let error = decoded(json(), None, deep.as_bytes()).unwrap_err();
    assert!(error.starts_with("not JSON: depth limit exceeded"), "{error}");
    let many = format!("[{}0]", "0,".repeat(READINGS_MAX));
    refuses(json(), many, "more than 65536 readings in one frame");
    let copied = DecodeOptions { records: "/data".into(), ..json() };
    let note = "x".repeat(1_000_000);
    let around = |readings: usize| {
        format!(r#"{{"device":"d","ts":0,"note":"{note}","data":[{}{{}}]}}"#, "{},".repeat(readings - 1))
    };
    let few = decoded(copied.clone(), None, around(16).as_bytes()).map(|rows| rows.len());
    assert_eq!(few, Ok(16));
    let problem = "1000001 bytes of text around 20 readings: copied into each they are over 16777216 bytes";
    refuses(copied, around(20), problem);
    let long = format!(r#"{{"device":"d","ts":0,"note":"{}"}}"#, "x".repeat(10_000_000));
    assert_eq!(decoded(json(), None, long.as_bytes()).map(|rows| rows.len()), Ok(1));
}

#[test]
fn lines_become_records() {
    check(
        csv(),
        "d1,1000,21.5,7,true,\"a, \"\"b\"\"\"\r\n# remark\nd2,2000,,,,\n",
        &[
            r#"{"device":"d1","time":"1970-01-01T00:00:01.000000Z","temp":21.5,"count":7,"on":true,"note":"a, \"b\""}"#,
            r#"{"device":"d2","time":"1970-01-01T00:00:02.000000Z"}"#,
        ],
    );
    check(csv(), "# only a remark", &[]);
    let columns = ["temp", "", "count"].map(String::from).into();
    let name = Some("meter".to_owned());
    let options = DecodeOptions { columns, delimiter: b';', device_name: name, comment: None, ..csv() };
    check(options, "1;skipped;2", &[r#"{"device":"meter","time":"2027-01-15T08:00:00.000000Z","temp":1.0,"count":2}"#]);
}

#[test]
fn bad_lines_are_refused_with_a_sentence() {
    refuses(csv(), "d1,1000,21.5", "3 values where 6 columns are configured, line 1");
    refuses(csv(), "d1,1,1,1,1,x\nd1,1,1,1,1,x,y,z\n", "7 values where 6 columns are configured, line 2");
    refuses(csv(), "d1,1000,warm,,,", "temp must be a number, found the text \"warm\"");
    refuses(csv(), "d1,1000,inf,,,", "temp is not a finite number: inf");
    refuses(csv(), "d1,1000,,99999999999999999999,,", "count is out of range: 100000000000000000000");
    refuses(csv(), b"d1,1000,,,,\xff\xfe", "note is not UTF-8 text");
    refuses(csv(), "d1,,1,,,", "no time; leave `time` out of the configuration to use the gateway's clock");
}

#[test]
fn options_that_cannot_work_are_refused() {
    let refused = |options| Decoder::new(options, schema()).map(|_| ()).unwrap_err().to_string();
    let no_device = DecodeOptions { device: None, ..json() };
    assert!(refused(no_device).starts_with("decode.device: nothing says whose readings"));
    let pointer = DecodeOptions { time: Some("ts".into()), ..json() };
    assert_eq!(refused(pointer), "decode.time: \"ts\" is no JSON pointer: it begins with '/', as in \"/ts\"");
    let unknown = DecodeOptions { fields: vec![("tmp".into(), "/t".into())], ..json() };
    assert!(refused(unknown).starts_with("decode.fields.tmp: the stream has no such field"));
    let topic = DecodeOptions { topic: Some("a/{devic}".into()), ..json() };
    assert!(refused(topic).starts_with("decode.topic: {devic} in"));
    let column = DecodeOptions { columns: vec!["device".into(), "device".into()], ..csv() };
    assert_eq!(refused(column), "decode.columns: \"device\" comes twice");
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(frame in proptest::collection::vec(any::<u8>(), 0..300)) {
        _ = decoded(json(), None, &frame);
        _ = decoded(csv(), None, &frame);
    }

    #[test]
    fn json_like_bytes_decode_or_are_refused(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\"device\":", "\"ts\":", "\"temp\":", "\"d\"", "1", "-", "1e9", ".5",
                "null", "true", "\\u0000", "\\ud800", "99999999999999999999999", " ", "\"data\":",
            ]), 0..40),
    ) {
        let frame = words.concat();
        _ = decoded(json(), None, frame.as_bytes());
        _ = decoded(DecodeOptions { records: "/data".into(), ..json() }, None, frame.as_bytes());
    }

    #[test]
    fn what_serde_json_writes_is_read_back(
        device in "[a-z]{1,8}", ts in -1_000_000_000_000i64..1_700_000_000_000, temp in any::<f64>(), count in any::<i64>(),
        on in any::<bool>(), note in "\\PC{0,20}",
    ) {
        prop_assume!(temp.is_finite());
        let frame = serde_json::json!({"device": device, "ts": ts, "temp": temp, "count": count, "on": on, "note": note});
        let mut out = BatchBuilder::new(schema());
        let mut decoder = Decoder::new(json(), schema()).unwrap();
        decoder.decode(None, frame.to_string().as_bytes(), WALL, &mut out).unwrap();
        let batch = out.finish();
        prop_assert_eq!(batch.device(0), device);
        prop_assert_eq!(batch.times()[0], ts * 1000);
        let tidegate_record::Values::Floats(temps) = &batch.columns()[0].values else { panic!("floats") };
        prop_assert_eq!(temps[0].to_bits(), temp.to_bits());
        let tidegate_record::Values::Integers(counts) = &batch.columns()[1].values else { panic!("integers") };
        prop_assert_eq!(counts[0], count);
        let tidegate_record::Values::Texts(notes) = &batch.columns()[3].values else { panic!("texts") };
        prop_assert_eq!(notes.text(0), note);
    }
}
