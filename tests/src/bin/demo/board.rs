//! What the terminal shows.

use crate::events::{Event, Events};
use crate::scene::{self, CONTROL, LISTENER, Scene, UPSTREAM};
use crate::tally::Tally;
use serde_json::Value;
use tidegate_tests::parts;

/// Where things are and what to try.
pub fn welcome(scene: &Scene) {
    let tidegate = parts::gateway_binary();
    let (config, tidegate) = (scene::config(), tidegate.display());
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
}

/// Shows counts until the end.
pub fn show(scene: &mut Scene, events: &Events) {
    loop {
        match events.next() {
            Event::End => return,
            Event::Toggle => {
                scene.toggle();
                println!("--- the upstream {}", if scene.paused { "is paused: it answers 503" } else { "goes on" });
            }
            Event::Tick => match scene.look() {
                Ok(status) => println!("{}", line(scene, &status)),
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
    for (name, tally) in [("aggregates", &scene.aggregates), ("anomalies", &scene.anomalies)] {
        println!(
            "{name}: {} records arrived, {} of them twice, {} missing; {} requests were refused and made again",
            tally.records, tally.duplicates, tally.missing, tally.refused_requests
        );
    }
    problems.iter().for_each(|problem| eprintln!("error: {problem}"));
}

/// One line of counts; the last anomaly behind them.
fn line(scene: &Scene, status: &Value) -> String {
    let upstream = if scene.paused { "paused" } else { "up" };
    format!(
        "readings {:>7}   upstream {upstream:<6}  aggregates {:>6}  anomalies {:>4}  waiting {:>5}{}",
        appended(status, "readings"),
        scene.aggregates.records,
        scene.anomalies.records,
        scene::waiting(status),
        last_anomaly(&scene.anomalies),
    )
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
