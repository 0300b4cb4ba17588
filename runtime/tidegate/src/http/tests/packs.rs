use super::*;
use tidegate_store::{BlockReader, copy_pack};

impl Served {
    /// The bytes of an answer.
    async fn bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let mut asked = self.ask(path, "localhost").await;
        while asked.more().await {}
        let end = asked.received.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&asked.received[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let (mut rest, mut body) = (&asked.received[end + 4..], Vec::new());
        while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&rest[..line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
            let Some(size) = size.filter(|size| *size > 0) else { break };
            body.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 2 + size + 2..];
        }
        (status, body)
    }
}

fn numbers(pack: &[u8]) -> Result<Vec<i64>, String> {
    let mut pack = BlockReader::begin(pack, "readings")?;
    let mut numbers = Vec::new();
    while let Some((_, block)) = pack.block()? {
        numbers.extend(block.batch.times().iter().map(|time| time / 1_000_000));
    }
    Ok(numbers)
}

#[tokio::test]
async fn the_blocks_of_a_stream_come_as_a_pack_with_an_end() {
    let served = served(Limits::default()).await;
    for begin in [0, 3_000, 6_000] {
        served.append(begin..begin + 3_000).await;
    }
    let (status, pack) = served.bytes("/api/v1/streams/readings/blocks").await;
    assert_eq!((status, numbers(&pack)), (200, Ok((0..9_000).collect())));
    assert!(numbers(&pack[..pack.len() - 1]).is_err(), "what was cut off is found out");
    let (_, empty) = served.bytes("/api/v1/streams/readings/blocks?to=0").await;
    assert_eq!(numbers(&empty), Ok(vec![]));
    assert_eq!(served.get("/api/v1/streams/other/blocks").await.status, 404);
    assert_eq!(served.get("/api/v1/streams/readings/blocks?from=x").await.status, 400);
}

#[tokio::test]
async fn a_backup_is_whole_and_only_so_many_are_made_at_once() {
    let limits = Limits { taps_max: 1, ..Limits::default() };
    let served = served(limits).await;
    served.append(0..500).await;
    let (status, pack) = served.bytes("/api/v1/store/backup").await;
    let mut copy = Vec::new();
    assert_eq!((status, copy_pack(&mut &pack[..], &mut copy)), (200, Ok(())));
    assert_eq!(copy, pack);
    let mut tap = served.ask("/api/v1/streams/readings/tap?from=start", "localhost").await;
    tap.until("d1").await;
    assert_eq!(served.get("/api/v1/store/backup").await.status, 429);
}
