//! Judges one answer: whether it came, and whether it is what a node without faults said to this
//! question at the slot that the answer names.

use perijove_tests::client::Reply;
use perijove_tests::sandbox::Sandbox;
use perijove_tests::sandbox::chain::{self, Line, Moment};
use perijove_tests::sandbox::sight::Sight;
use serde_json::Value;

use crate::questions::Question;

/// How far back a block height is looked for.
const LOOK_BACK: u64 = 400;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Answered truly, as of this slot if the answer is about one, which trailed the cluster by
    /// that many slots when the call was sent.
    Good { at: Option<u64>, behind: u64 },
    /// No result came.
    Lost(String),
    /// What came is not true.
    Wrong(String),
}

/// A call that was made.
#[derive(Debug)]
pub struct Asked<'a> {
    pub question: &'a Question,
    pub id: u64,
    /// How a node without faults saw the cluster when the call left and when its answer had come.
    pub sent: Sight,
    pub received: Sight,
}

impl Asked<'_> {
    /// Judges its answer.
    pub fn judge(&self, cluster: &Sandbox, outcome: &Result<Reply, String>) -> Verdict {
        let reply = match outcome {
            Ok(reply) => reply,
            Err(error) => return Verdict::Lost(error.clone()),
        };
        let Ok(answer) = serde_json::from_slice::<Value>(&reply.body) else {
            let shown = format!("HTTP {}: {}", reply.status, shortened(&reply.text()));
            return if reply.status == 200 {
                Verdict::Wrong(format!("no JSON: {shown}"))
            } else {
                Verdict::Lost(shown)
            };
        };
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            let shown = shortened(&error.to_string());
            return Verdict::Lost(format!("HTTP {}: {shown}", reply.status));
        }
        if answer.get("id") != Some(&Value::from(self.id)) {
            return Verdict::Wrong(format!("another id: {}", shortened(&answer.to_string())));
        }
        match answer.get("result") {
            Some(result) => self.judge_result(cluster, result),
            None => Verdict::Wrong(format!("no result: {}", shortened(&answer.to_string()))),
        }
    }

    fn judge_result(&self, cluster: &Sandbox, result: &Value) -> Verdict {
        let wrong = |why: &str| {
            let method = self.question.method;
            Verdict::Wrong(format!(
                "{method} {why}: {}",
                shortened(&result.to_string())
            ))
        };
        if let Some(signature) = &self.question.signature {
            return if result.as_str() == Some(signature) {
                timeless()
            } else {
                wrong("another signature")
            };
        }
        let slot = match self.age(result) {
            Age::Nowhere => return wrong("of no slot that there was"),
            Age::Timeless => None,
            Age::Of(slot) if slot > self.received.at(self.question.level) => {
                return wrong("of a slot that is not there yet");
            }
            Age::Of(slot) => Some(slot),
        };
        let moment = Moment {
            slot: slot.unwrap_or(self.received.processed),
            line: Line::MAIN,
        };
        let said = cluster.said_at(moment, self.question.method, &self.question.params);
        if said.as_ref() != Ok(result) {
            return wrong("not what was said");
        }
        match slot {
            None => timeless(),
            Some(slot) => Verdict::Good {
                at: Some(slot),
                behind: self.sent.at(self.question.level).saturating_sub(slot),
            },
        }
    }

    fn age(&self, result: &Value) -> Age {
        let newest = self.received.at(self.question.level);
        let slot = match self.question.method {
            "getTransaction" | "getBlockTime" => return Age::Timeless,
            "getSlot" => result.as_u64(),
            "getBlockHeight" => {
                let mut slots = (newest.saturating_sub(LOOK_BACK)..=newest).rev();
                slots.find(|slot| result.as_u64() == Some(chain::height(*slot)))
            }
            _ => result.pointer("/context/slot").and_then(Value::as_u64),
        };
        slot.map_or(Age::Nowhere, Age::Of)
    }
}

/// The slot an answer is of.
#[derive(Debug, Clone, Copy)]
enum Age {
    Of(u64),
    /// It is the same at every slot.
    Timeless,
    /// It is of none that there was.
    Nowhere,
}

fn timeless() -> Verdict {
    Verdict::Good {
        at: None,
        behind: 0,
    }
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use perijove_tests::sandbox::Settings;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::questions::Asker;

    async fn cluster() -> Sandbox {
        let settings = Settings {
            validators: 1,
            moving: true,
            ..Settings::default()
        };
        Sandbox::with(settings).await.unwrap()
    }

    fn reply(answer: &Value) -> Reply {
        Reply {
            status: 200,
            headers: HeaderMap::new(),
            body: answer.to_string().into(),
        }
    }

    /// Puts the question to the cluster as of a slot, and changes the answer.
    fn judged(
        cluster: &Sandbox,
        question: &Question,
        slot: u64,
        change: impl FnOnce(&mut Value),
    ) -> Verdict {
        let moment = Moment {
            slot,
            line: Line::MAIN,
        };
        let said = match &question.signature {
            Some(signature) => json!(signature),
            None => cluster
                .said_at(moment, question.method, &question.params)
                .unwrap(),
        };
        let mut answer = json!({"jsonrpc": "2.0", "result": said, "id": 5});
        change(&mut answer);
        let now = Sight::of(300_000_000);
        let asked = Asked {
            question,
            id: 5,
            sent: now,
            received: now,
        };
        asked.judge(cluster, &Ok(reply(&answer)))
    }

    fn is_wrong(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Wrong(_))
    }

    #[tokio::test]
    async fn every_question_has_one_right_answer() {
        let cluster = cluster().await;
        let mut asker = Asker::new(&cluster);
        cluster.cluster().clock.advance(10);
        let now = Sight::of(300_000_000);
        for turn in 0..400 {
            let question = match turn % 20 {
                0 => asker.write(now),
                1 => asker.scan(),
                _ => asker.read(now),
            };
            // What is landed only counts once it is there.
            if question.method == "getTransaction" {
                continue;
            }
            let slot = now.at(question.level) - 3;
            let right = judged(&cluster, &question, slot, |_| {});
            assert!(
                matches!(right, Verdict::Good { .. }),
                "{question:?} {right:?}"
            );
            let null = judged(&cluster, &question, slot, |answer| {
                answer["result"] = Value::Null;
            });
            assert!(is_wrong(&null), "{question:?}");
            let other = judged(&cluster, &question, slot, |answer| {
                answer["id"] = json!(777);
            });
            assert!(is_wrong(&other), "{question:?}");
        }
    }

    #[tokio::test]
    async fn another_questions_answer_is_wrong_and_an_old_one_is_told() {
        let cluster = cluster().await;
        let mut asker = Asker::new(&cluster);
        let now = Sight::of(300_000_000);
        let balance = |asker: &mut Asker| loop {
            let question = asker.read(now);
            if question.method == "getBalance" {
                return question;
            }
        };
        let (one, two) = (balance(&mut asker), balance(&mut asker));
        let slot = now.at(one.level) - 50;
        assert_eq!(
            judged(&cluster, &one, slot, |_| {}),
            Verdict::Good {
                at: Some(slot),
                behind: 50
            }
        );
        let moment = Moment {
            slot,
            line: Line::MAIN,
        };
        let other = cluster.said_at(moment, two.method, &two.params).unwrap();
        let mixed_up = judged(&cluster, &one, slot, |answer| answer["result"] = other);
        assert!(is_wrong(&mixed_up));
        let ahead = now.at(one.level) + 1;
        assert!(is_wrong(&judged(&cluster, &one, ahead, |_| {})));
        let refused = judged(&cluster, &one, slot, |answer| {
            *answer = json!({"jsonrpc": "2.0", "error": {"code": -32005}, "id": 5});
        });
        assert!(matches!(refused, Verdict::Lost(_)));
    }
}
