use super::*;
use std::path::PathBuf;

/// A table's file in a folder of its own.
struct Written {
    _folder: tempfile::TempDir,
    config: TableConfig,
}

fn written(name: &str, text: &[u8], format: TableFormat) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    let config = TableConfig {
        name: "sites".into(),
        file,
        format,
        key: "device".into(),
        fields: Vec::new(),
        max_bytes: 1 << 20,
        max_rows: 100,
    };
    Written { _folder: folder, config }
}

fn csv(text: &str) -> Written {
    written("sites.csv", text.as_bytes(), TableFormat::Csv)
}

fn json(text: &str) -> Written {
    written("sites.json", text.as_bytes(), TableFormat::Json)
}

fn sqlite(statements: &str, query: &str) -> Written {
    let written = written("sites.db", b"", TableFormat::Sqlite(query.into()));
    rusqlite::Connection::open(&written.config.file).unwrap().execute_batch(statements).unwrap();
    written
}

impl Written {
    fn declaring(mut self, name: &str, scalar: Scalar) -> Self {
        self.config.fields.push(Field::new(name, scalar));
        self
    }

    /// Its fields as `name type`, and how many rows.
    fn table(&self) -> (String, usize) {
        let tables = load(std::slice::from_ref(&self.config)).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let table = tables.get("sites").unwrap();
        let fields: Vec<String> = table.fields().iter().map(|f| format!("{} {}", f.name, f.scalar)).collect();
        (fields.join(", "), table.rows())
    }

    fn hash(&self) -> [u8; 32] {
        *load(std::slice::from_ref(&self.config)).unwrap().get("sites").unwrap().hash()
    }

    /// What is wrong, with the file's name alone.
    fn wrong(&self) -> Vec<String> {
        let folder = format!("{}/", self.config.file.parent().unwrap().display());
        let wrong = load(std::slice::from_ref(&self.config)).expect_err("something is wrong");
        wrong.iter().map(|line| line.replace(&folder, "")).collect()
    }
}

#[test]
fn columns_are_what_their_values_look_like_and_the_key_is_text() {
    let text = "site, device ,floor,area,heated,code\nnorth,1,3,20,true,007\n south , 2,,1e2,false,8\n";
    assert_eq!(csv(text).table(), ("device text, site text, floor i64, area f64, heated bool, code text".into(), 2));
    let text = r#"[{"device":"d1","floor":3,"area":20,"heated":true},{"device":"d2","area":1.5,"site":null}]"#;
    assert_eq!(json(text).table(), ("device text, floor i64, area f64, heated bool, site text".into(), 2));
    let made =
        "CREATE TABLE s (device TEXT, floor INTEGER, area REAL); INSERT INTO s VALUES ('d1', 3, 2.5), ('d2', NULL, 1)";
    assert_eq!(sqlite(made, "SELECT * FROM s").table(), ("device text, floor i64, area f64".into(), 2));
}

#[test]
fn the_same_rows_are_the_same_table_whatever_file_they_come_from() {
    let hash = csv("device,floor\nd1,3\nd2,\n").hash();
    assert_eq!(hash, csv("\u{feff}floor,device\r\n3,d1\r\n,d2\r\n").hash());
    assert_eq!(hash, json(r#"[{"device":"d1","floor":3},{"device":"d2"}]"#).hash());
    let made = "CREATE TABLE s (device TEXT, floor INTEGER); INSERT INTO s VALUES ('d1', 3), ('d2', NULL)";
    assert_eq!(hash, sqlite(made, "SELECT floor, device FROM s").hash());
    assert_ne!(hash, csv("device,floor\nd1,3\nd2,0\n").hash());
}

#[test]
fn a_wrong_cell_is_told_with_its_place_and_what_to_do() {
    let text = "device,floor\nd1,3\nd2,3rd\nd3,4th\n";
    assert_eq!(csv(text).table().0, "device text, floor text", "nothing says that it should be a number");
    assert_eq!(
        csv(text).declaring("floor", Scalar::Integer).wrong(),
        [
            "tables.sites: sites.csv, line 3, column floor: \"3rd\" is no i64: correct it, or declare it otherwise, \
             fields = { floor = \"text\" }",
            "tables.sites: sites.csv, line 4, column floor: \"4th\" is no i64: correct it, or declare it otherwise, \
             fields = { floor = \"text\" }"
        ]
    );
    assert_eq!(
        json(r#"[{"device":"d1","floor":3},{"device":"d2","floor":"three"}]"#).wrong(),
        [
            "tables.sites: sites.json, column floor: holds numbers and text: correct it, or declare fields = { floor = \"text\" }"
        ]
    );
    assert_eq!(
        json(r#"[{"device":17}]"#).wrong(),
        [
            "tables.sites: sites.json, record 1, column device: 17 is no text: correct it, or declare fields = { device = \"i64\" }"
        ]
    );
    assert_eq!(json(r#"[{"device":17}]"#).declaring("device", Scalar::Integer).table().0, "device i64");
}

#[test]
fn a_key_stands_for_one_row() {
    assert_eq!(
        csv("device,floor\nd1,3\n\nd2,1\nd1,4\n").wrong(),
        ["tables.sites: sites.csv, line 5: the key \"d1\" is in line 2 already: a key stands for one row"]
    );
    assert_eq!(
        csv("device,floor\nd1,3\n,4\n").wrong(),
        ["tables.sites: sites.csv, line 3: has no device, which is the key"]
    );
    assert_eq!(
        csv("name,floor\nd1,3\n").wrong(),
        ["tables.sites: sites.csv: has no column \"device\"; it has name, floor"]
    );
}

#[test]
fn a_file_that_is_none_is_told() {
    assert_eq!(
        csv("device,floor\nd1\n").wrong(),
        ["tables.sites: sites.csv: line 2: 1 cells where the first line names 2"]
    );
    let latin = written("sites.csv", b"device,site\nd1,M\xfcnchen\n", TableFormat::Csv);
    assert_eq!(latin.wrong(), ["tables.sites: sites.csv: line 2, column site: is not UTF-8"]);
    let said = json("{\"d1\":{}}").wrong().remove(0);
    assert!(said.contains("expected a list of objects, such as") && said.ends_with("at line 1 column 0"), "{said}");
    let said = json("[{\"device\":\"d1\",\n\"site\":[1]}]").wrong().remove(0);
    assert!(said.contains("expected a text, a number, true, false or null at line 2"), "{said}");
    let no_database = written("sites.db", &[7; 4096], TableFormat::Sqlite("SELECT 1".into()));
    assert!(no_database.wrong()[0].contains("file is not a database"), "{:?}", no_database.wrong());
    let gone = TableConfig { file: PathBuf::from("/nowhere/sites.csv"), ..csv("").config.clone() };
    let said = load(&[gone]).unwrap_err().remove(0);
    assert!(said.starts_with("tables.sites: /nowhere/sites.csv: cannot be read: "), "{said}");
}

#[test]
fn a_database_is_read_and_never_written() {
    let made = "CREATE TABLE s (device TEXT, photo BLOB); INSERT INTO s VALUES ('d1', x'00')";
    assert_eq!(
        sqlite(made, "SELECT * FROM s").wrong(),
        ["tables.sites: sites.db: row 1, column photo: is neither text nor a number"]
    );
    assert_eq!(
        sqlite(made, "DELETE FROM s").wrong(),
        ["tables.sites: sites.db: \"DELETE FROM s\" is no query that only reads"]
    );
    assert_eq!(
        sqlite(made, "SELECT * FROM t").wrong(),
        ["tables.sites: sites.db: \"SELECT * FROM t\": no such table: t"]
    );
    let database = sqlite(made, "SELECT device FROM s");
    assert_eq!(database.table().1, 1);
    std::fs::write(database.config.file.with_extension("db-wal"), b"changes").unwrap();
    let said = database.wrong().remove(0);
    assert!(said.contains("has changes that are not in it yet") && said.contains("VACUUM INTO"), "{said}");
}

#[test]
fn half_a_change_of_a_database_is_never_read() {
    let database = sqlite("CREATE TABLE s (device TEXT); INSERT INTO s VALUES ('d1')", "SELECT * FROM s");
    let journal = database.config.file.with_extension("db-journal");
    for kept in [&b""[..], &[0; 512]] {
        std::fs::write(&journal, kept).unwrap();
        assert_eq!(database.table().1, 1, "a journal of {} bytes that is done with", kept.len());
    }
    std::fs::remove_file(&journal).unwrap();
    let writer = rusqlite::Connection::open(&database.config.file).unwrap();
    // More than is held in memory, so that some of it is in the file before it is committed.
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) \
                INSERT INTO s SELECT hex(randomblob(200)) FROM n";
    writer.execute_batch(&format!("PRAGMA cache_size = 2; BEGIN; {many}")).unwrap();
    let said = database.wrong().remove(0);
    assert!(said.contains("has half of a change in it") && said.contains("VACUUM INTO"), "{said}");
    let link = database.config.file.with_file_name("link.db");
    std::os::unix::fs::symlink(&database.config.file, &link).unwrap();
    let linked = TableConfig { file: link, ..database.config.clone() };
    assert!(load(&[linked]).unwrap_err()[0].contains("half of a change"), "the journal of the file it links to counts");
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(database.table().1, 1);
}

#[test]
fn no_digit_of_a_number_is_lost() {
    let fields = |text: &str| csv(&format!("device,card\n{text}")).table().0;
    assert_eq!(fields("d1,89014103211118510720\n"), "device text, card text", "no integer has so many digits");
    assert_eq!(fields("d1,9007199254740993\n"), "device text, card i64");
    assert_eq!(fields("d1,9007199254740993\nd2,1.5\n"), "device text, card text");
    assert_eq!(fields("d1,9007199254740992\nd2,1.5\n"), "device text, card f64");
    assert_eq!(fields("d1,1e25\n"), "device text, card f64");
    assert_eq!(
        csv("device,card\nd1,89014103211118510720\n").declaring("card", Scalar::Float).wrong(),
        [
            "tables.sites: sites.csv, line 2, column card: \"89014103211118510720\" is no f64: correct it, or declare it \
          otherwise, fields = { card = \"text\" }"
        ]
    );
    for long in ["89014103211118510720", "-9223372036854775809", "18446744073709551615"] {
        let said = json(&format!(r#"[{{"device":"d1","card":{long}}}]"#)).wrong().remove(0);
        assert!(said.contains("write it as a text at line 1"), "{long}: {said}");
    }
    assert_eq!(json(r#"[{"device":"d1","card":1.5e18}]"#).table().0, "device text, card f64");
}

#[test]
fn a_table_of_too_many_columns_ends_where_they_are_too_many() {
    let names = |from: usize, to: usize| (from..to).map(|n| format!(r#","c{n}":1"#)).collect::<String>();
    let one = json(&format!(r#"[{{"device":"d1"{}}}]"#, names(0, 256)));
    assert!(one.wrong()[0].contains("more names in one object than the 256 columns"), "{:?}", one.wrong());
    let two = json(&format!(r#"[{{"device":"d1"{}}},{{"device":"d2"{}}},7]"#, names(0, 200), names(200, 300)));
    assert!(two.wrong()[0].contains("have more names than the 256 columns"), "{:?}", two.wrong());
    assert_eq!(json(&format!(r#"[{{"device":"d1"{}}}]"#, names(0, 255))).table().1, 1);
}

#[test]
fn a_table_stays_within_its_bounds() {
    let mut table = csv("device,floor\nd1,3\nd2,4\nd3,4\n");
    table.config.max_rows = 2;
    assert_eq!(table.wrong(), ["tables.sites: sites.csv: has more rows than max_rows (2) allows"]);
    table.config.max_bytes = 20;
    assert_eq!(table.wrong(), ["tables.sites: sites.csv: is larger than max_bytes (20) allows"]);
    let mut endless = sqlite(
        "CREATE TABLE s (device TEXT)",
        "WITH RECURSIVE n(device) AS (SELECT 1 UNION ALL SELECT device + 1 FROM n) SELECT device FROM n",
    );
    endless.config.fields.push(Field::new("device", Scalar::Integer));
    assert_eq!(endless.wrong(), ["tables.sites: sites.db: has more rows than max_rows (100) allows"]);
    endless.config.max_rows = usize::MAX;
    assert_eq!(endless.wrong(), ["tables.sites: sites.db: the query gives more than max_bytes (1048576) allows"]);
}
