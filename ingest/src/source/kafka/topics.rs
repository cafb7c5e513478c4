//! The one copy of each topic's name.

use std::sync::Arc;

use rdkafka::TopicPartitionList;

use crate::record::Partition;

#[derive(Debug, Default)]
pub(super) struct Topics(Vec<Arc<str>>);

impl Topics {
    pub(super) fn of(&mut self, name: &str) -> Arc<str> {
        let known = self.0.iter().find(|known| known.as_ref() == name);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.push(Arc::clone(&name));
        name
    }

    /// The partitions of a list.
    pub(super) fn partitions(&mut self, list: &TopicPartitionList) -> Vec<Partition> {
        let elements = list.elements();
        let named = elements
            .iter()
            .map(|one| Partition::new(self.of(one.topic()), one.partition()));
        named.collect()
    }
}
