//! A store that is an engine and what goes with it.

/// Makes a type that holds an [`Engine`] a [`Store`].
macro_rules! forward_store {
    ($store:ty, $engine:ident) => {
        impl $store {
            /// Group commits wait so long for company from now on.
            pub fn set_commit_interval(&self, interval: std::time::Duration) {
                self.$engine.set_commit_interval(interval);
            }
        }

        impl $crate::api::Store for $store {
            fn identity(&self) -> tidegate_record::Identity {
                self.$engine.identity()
            }
            fn declare(&self, streams: Vec<$crate::api::StreamSpec>) -> Result<(), $crate::api::Error> {
                self.$engine.declare(streams)
            }
            fn attach(&self, producer: &str) -> Result<$crate::api::Session, $crate::api::Error> {
                self.$engine.attach(producer)
            }
            fn assigned(&self, stream: &str) -> Result<Vec<$crate::api::Partition>, $crate::api::Error> {
                self.$engine.assigned(stream)
            }
            fn commit(&self, commit: $crate::api::Commit) -> Result<$crate::api::Receipt, $crate::api::Refusal> {
                self.$engine.commit(commit)
            }
            fn room(&self, stream: Option<&str>) -> futures::future::BoxFuture<'static, ()> {
                self.$engine.room(stream)
            }
            fn read(
                &self,
                partition: &$crate::api::Partition,
                at: $crate::api::Position,
                visibility: $crate::api::Visibility,
            ) -> Result<Option<$crate::api::Block>, $crate::api::Error> {
                self.$engine.read(partition, at, visibility)
            }
            fn appended(
                &self,
                partition: &$crate::api::Partition,
                at: $crate::api::Position,
                visibility: $crate::api::Visibility,
            ) -> futures::future::BoxFuture<'static, ()> {
                self.$engine.appended(partition, at, visibility)
            }
            fn frontier(&self) -> u64 {
                self.$engine.frontier()
            }
            fn reaching(
                &self,
                reader: &$crate::api::Session,
                partition: &$crate::api::Partition,
                range: std::ops::Range<$crate::api::Position>,
            ) -> $crate::api::Reach {
                self.$engine.reaching(reader, partition, range)
            }
            fn cursor(
                &self,
                producer: &str,
                partition: &$crate::api::Partition,
            ) -> Result<Option<$crate::api::Position>, $crate::api::Error> {
                self.$engine.cursor(producer, partition)
            }
            fn start(&self, partition: &$crate::api::Partition) -> Result<$crate::api::Position, $crate::api::Error> {
                self.$engine.start(partition)
            }
            fn state(&self, producer: &str) -> Result<Option<Vec<u8>>, $crate::api::Error> {
                self.$engine.state(producer)
            }
            fn snapshot(&self, producer: &str) -> Result<Option<$crate::api::Snapshot>, $crate::api::Error> {
                self.$engine.snapshot(producer)
            }
            fn tick_at(&self, partition: &$crate::api::Partition, arrival: i64) {
                self.$engine.tick_at(partition, arrival)
            }
            fn arrival_now(&self) -> i64 {
                self.$engine.arrival_now()
            }
            fn dating(&self, commit: u64) -> Option<$crate::api::Dating> {
                self.$engine.dating(commit)
            }
            fn last_wall(&self) -> Option<i64> {
                self.$engine.last_wall()
            }
            fn health(&self) -> $crate::api::Health {
                self.$engine.health()
            }
            fn backup(&self, out: &mut dyn std::io::Write) -> Result<(), $crate::api::Error> {
                self.$engine.backup(out)
            }
            fn verify(&self, going_on: &mut dyn FnMut() -> bool) -> Result<$crate::Report, $crate::api::Error> {
                self.$engine.verify(going_on)
            }
            fn purge(
                &self,
                partition: &$crate::api::Partition,
                before: $crate::api::Position,
                held: bool,
            ) -> Result<u64, $crate::api::Error> {
                self.$engine.purge(partition, before, held)
            }
            fn close(&self) -> futures::future::BoxFuture<'static, Result<(), $crate::api::Error>> {
                self.$engine.close()
            }
        }
    };
}
pub(crate) use forward_store;
