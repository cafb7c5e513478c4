//! A Cluster of three masters, of which the first has a replica.

use super::{Redis, Settings};
use crate::ports;
use crate::wait::until;

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// Nodes in the order master, master, master, replica of the first.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// Waits until all of it agrees.
    pub async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// The same of nodes of this kind; further arguments they cannot have.
    pub async fn with(settings: Settings<'_>) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..=MASTERS {
            nodes.push(node(settings).await);
        }
        let cluster = Self { nodes };
        cluster.meet().await;
        cluster.divide().await;
        cluster.wait_whole().await;
        let first: String = cluster.node(0).ask(&["CLUSTER", "MYID"]).await;
        cluster
            .node(MASTERS)
            .ask::<()>(&["CLUSTER", "REPLICATE", &first])
            .await;
        until("the replica to follow", || async {
            let role: String = cluster.node(MASTERS).ask(&["INFO", "replication"]).await;
            role.contains("master_link_status:up").then_some(())
        })
        .await;
        cluster
    }

    /// The nodes' URLs.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// A node by its place.
    pub fn node(&self, index: usize) -> &Redis {
        self.nodes
            .get(index)
            .unwrap_or_else(|| panic!("no node {index}"))
    }

    async fn meet(&self) {
        for node in self.nodes.iter().skip(1) {
            let bus: String = node
                .ask::<Vec<String>>(&["CONFIG", "GET", "cluster-port"])
                .await
                .pop()
                .unwrap_or_default();
            let port = node.port().to_string();
            self.node(0)
                .ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
                .await;
        }
    }

    async fn divide(&self) {
        for index in 0..MASTERS {
            let first = SLOTS * index / MASTERS;
            let last = SLOTS * (index + 1) / MASTERS - 1;
            self.node(index)
                .ask::<()>(&[
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    &first.to_string(),
                    &last.to_string(),
                ])
                .await;
        }
    }

    async fn wait_whole(&self) {
        for node in &self.nodes {
            until("the Cluster to agree", || async {
                let told: String = node.ask(&["CLUSTER", "INFO"]).await;
                let all = format!("cluster_known_nodes:{}", self.nodes.len());
                (told.contains("cluster_state:ok") && told.contains(&all)).then_some(())
            })
            .await;
        }
    }
}

async fn node(settings: Settings<'_>) -> Redis {
    let bus = ports::take().to_string();
    let arguments = [
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &bus],
        ["--cluster-node-timeout", "1000"],
        ["--cluster-replica-validity-factor", "0"],
    ];
    Redis::with(Settings {
        arguments: &arguments.concat(),
        ..settings
    })
    .await
}
