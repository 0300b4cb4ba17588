//! What the terminal shows.

use crate::events::{Event, Events};
use crate::own::Own;
use crate::scene::{self, CONTROL, LISTENER, Scene, UPSTREAM};
use crate::tally::Tally;
use serde_json::Value;
use tidegate_tests::parts;

/// Where things are and what to try.
pub fn welcome(scene: &Scene) {
    let tidegate = parts::gateway_binary();
    let (config, tidegate) = (&scene.config, tidegate.display());
    println!(
        "
The gateway runs {config} (its log: {log})
  devices   50 climate sensors over MQTT, a meter on a pseudo serial port
  listener  mqtt://{LISTENER}, which acknowledges what is durable
  control   http://{CONTROL}/readyz  /metrics  /api/v1/status
  upstream  http://{UPSTREAM}, in this process

Try:
  Enter                                      pause the upstream, Enter again lets it go on
  curl -X POST {UPSTREAM}/pause        the same from elsewhere (and /resume)
  {tidegate} tap climate_1s -n 3
  mosquitto_pub -p 1883 -q 1 -t sensors/mine -m '{{\"device\":\"mine\",\"ts\":'$(date +%s000)',\"temp\":99.5,\"hum\":40}}'
  Ctrl-C                                     end
",
        config = config.display(),
        log = scene.log().display(),
    );
    scene.own.iter().for_each(|(own, _)| introduce(own));
}

/// What a configuration says of the person's own plugin.
fn introduce(own: &Own) {
    let section: String = own.section.lines().map(|line| format!("    {line}\n")).collect();
    println!(
        "{name} runs in a pipeline of its own; a configuration has it so:

{section}
Build it again (tidegate plugin build): the new version takes the place of what runs within five seconds. What it makes
is shown below; `tidegate tap mine -n 3` has it too, and `tidegate tap dead_letters -n 3` what it sets aside.
",
        name = own.name,
    );
}

/// Shows counts until the end.
pub fn show(scene: &mut Scene, events: &Events) {
    let mut running = None;
    loop {
        match events.next() {
            Event::End => return,
            Event::Toggle => {
                scene.toggle();
                println!("--- the upstream {}", if scene.paused { "is paused: it answers 503" } else { "goes on" });
            }
            Event::Tick => match scene.look() {
                Ok(status) => {
                    let version = version(&status["pipelines"]["mine"]);
                    if running.is_some() && version != running {
                        println!("--- the new version of your plugin has taken the place of what ran");
                    }
                    running = version.or(running);
                    println!("{}", line(scene, &status));
                }
                Err(error) => {
                    eprintln!("{error}");
                    return;
                }
            },
        }
    }
}

/// What it came to.
pub fn farewell(scene: &Scene, problems: &[String]) {
    let own = scene.own.iter().map(|(own, tally)| (own.name.as_str(), tally));
    for (name, tally) in [("aggregates", &scene.aggregates), ("anomalies", &scene.anomalies)].into_iter().chain(own) {
        println!(
            "{name}: {} records arrived, {} of them twice, {} missing; {} requests were refused and made again",
            tally.records, tally.duplicates, tally.missing, tally.refused_requests
        );
    }
    problems.iter().for_each(|problem| eprintln!("error: {problem}"));
}

/// One line of counts; behind them the last anomaly, or what the person's own plugin does.
fn line(scene: &Scene, status: &Value) -> String {
    let upstream = if scene.paused { "paused" } else { "up" };
    format!(
        "readings {:>7}   upstream {upstream:<6}  aggregates {:>6}  anomalies {:>4}  waiting {:>5}{}",
        appended(status, "readings"),
        scene.aggregates.records,
        scene.anomalies.records,
        scene::waiting(status),
        match &scene.own {
            Some((own, tally)) => of_own(&own.name, tally, &status["pipelines"]["mine"]),
            None => last_anomaly(&scene.anomalies),
        },
    )
}

/// What came of the person's own plugin, and what is wrong with it.
fn of_own(name: &str, tally: &Tally, pipeline: &Value) -> String {
    let mut told = format!("  {name} {:>6}", tally.records);
    if let Some(Value::Object(record)) = &tally.last {
        let fields = record.iter().filter(|(field, _)| !field.starts_with('_'));
        let fields: Vec<String> = fields.map(|(field, value)| format!("{field} {value}")).collect();
        told += &format!("  last: {}", fields.join(", "));
    }
    if pipeline["faults"].as_u64() > Some(0) {
        told += &format!("\n    {} set aside, the last: {}", pipeline["faults"], text(&pipeline["last_fault"]));
    }
    let standing = pipeline["reason"].as_str().map(str::to_string);
    let notes = pipeline["plugins"].as_array().into_iter().flatten().filter_map(|plugin| plugin["note"].as_str());
    standing.into_iter().chain(notes.map(String::from)).for_each(|reason| told += &format!("\n    {reason}"));
    told
}

/// Which version of the person's own plugin runs.
fn version(pipeline: &Value) -> Option<String> {
    pipeline["plugins"][0]["sha256"].as_str().map(str::to_string)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn appended(status: &Value, stream: &str) -> u64 {
    let partitions = status["streams"][stream]["partitions"].as_array().into_iter().flatten();
    partitions.filter_map(|partition| partition["appended"].as_u64()).sum()
}

fn last_anomaly(tally: &Tally) -> String {
    let Some(record) = &tally.last else { return String::new() };
    let number = |name: &str| record[name].as_f64().unwrap_or(f64::NAN);
    let device = record["device"].as_str().unwrap_or("?");
    format!("  last: {device} at {:.1} °C, score {:.1}", number("temp"), number("score"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_plugin_makes_and_sets_aside_is_told() {
        let mut tally = Tally::default();
        (tally.records, tally.last) = (7, Some(json!({ "_id": "x", "device": "d1", "temp": 21.5 })));
        let pipeline = json!({ "faults": 2, "last_fault": "record 5 of d1: too cold", "plugins": [{ "note": "its file changed" }] });
        let expected = "  warm      7  last: device \"d1\", temp 21.5\n    2 set aside, the last: record 5 of d1: too cold\n    \
                        its file changed";
        assert_eq!(of_own("warm", &tally, &pipeline), expected);
        assert_eq!(of_own("warm", &Tally::default(), &json!({ "faults": 0 })), "  warm      0");
    }
}
