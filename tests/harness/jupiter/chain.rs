//! Where slots and blockhashes come from, and where transactions go: the sandbox's own cluster, or any
//! node over RPC.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sandbox::sight::{Level, Sight};
use crate::sandbox::{Cluster, Sandbox, chain};

/// How many blocks a blockhash stays valid.
const BLOCKHASH_LIFE: u64 = 150;

/// A chain.
#[derive(Debug)]
pub enum Chain {
    Cluster(Arc<Cluster>),
    Node {
        url: String,
        client: reqwest::Client,
    },
}

impl Chain {
    /// The chain of this cluster.
    pub fn of(sandbox: &Sandbox) -> Self {
        Self::Cluster(Arc::clone(sandbox.cluster()))
    }

    /// The chain that the node at this URL follows.
    pub fn node(url: &str) -> Self {
        Self::Node {
            url: url.to_owned(),
            client: reqwest::Client::new(),
        }
    }

    /// The newest slot; `None` if the node does not say.
    pub async fn slot(&self) -> Option<u64> {
        match self {
            Self::Cluster(cluster) => Some(cluster.clock.tip()),
            Self::Node { .. } => {
                let params = json!([{ "commitment": "processed" }]);
                self.ask("getSlot", &params).await.ok()?.as_u64()
            }
        }
    }

    /// A finalized blockhash and the last height at which it is valid.
    pub async fn blockhash(&self) -> Option<(String, u64)> {
        match self {
            Self::Cluster(cluster) => {
                let slot = Sight::of(cluster.clock.tip()).at(Level::Finalized);
                let slot = chain::block_at_or_before(slot);
                Some((chain::blockhash(slot), chain::height(slot) + BLOCKHASH_LIFE))
            }
            Self::Node { .. } => {
                let said = self.ask("getLatestBlockhash", &json!([])).await.ok()?;
                let hash = said.pointer("/value/blockhash")?.as_str()?.to_owned();
                let height = said.pointer("/value/lastValidBlockHeight")?.as_u64()?;
                Some((hash, height))
            }
        }
    }

    /// Sends a signed transaction, and gives its signature.
    pub async fn land(&self, bytes: &[u8]) -> Result<String, String> {
        match self {
            Self::Cluster(cluster) => cluster
                .land(bytes)
                .ok_or_else(|| "not a transaction".to_owned()),
            Self::Node { .. } => {
                let config = json!({ "encoding": "base64", "preflightCommitment": "processed" });
                let params = json!([STANDARD.encode(bytes), config]);
                let said = self.ask("sendTransaction", &params).await?;
                Ok(said.as_str().unwrap_or_default().to_owned())
            }
        }
    }

    async fn ask(&self, method: &str, params: &Value) -> Result<Value, String> {
        let Self::Node { url, client } = self else {
            return Err("no node".to_owned());
        };
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let asked = client.post(url).json(&call).send().await;
        let answer: Value = match asked {
            Ok(reply) => reply.json().await.map_err(|error| error.to_string())?,
            Err(error) => return Err(error.to_string()),
        };
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(answer.to_string()),
        }
    }
}
