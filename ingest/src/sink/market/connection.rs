//! One connection to Redis, opened again when it breaks.

use std::collections::HashMap;
use std::time::Duration;

use perijove_core::Pubkey;
use perijove_core::redis::{
    Dollars, LANE, LONGEST_DOLLARS, NEWER_WINS, PAIR, PRICE, PRICE_WRITER, open, price,
};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, ServerErrorKind, Value,
};

use crate::config;
use crate::sink::market::MarketError;

/// Commands that are sent together.
const TOGETHER: usize = 256;

/// A connection, once one was needed.
#[derive(Debug)]
pub struct RedisConnection {
    client: Client,
    config: AsyncConnectionConfig,
    timeout: Duration,
    connection: Option<MultiplexedConnection>,
    scripts: Scripts,
}

/// The scripts of the schema.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) newer: redis::Script,
    pub(super) pair: redis::Script,
    pub(super) lane: redis::Script,
    pub(super) price: redis::Script,
    pub(super) price_writer: redis::Script,
}

impl RedisConnection {
    /// A connection that is not open yet.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(settings: &config::Redis) -> Result<Self, MarketError> {
        let mut url = settings.url.expose().clone();
        if let Some(password) = &settings.password {
            url.set_password(Some(password.expose())).ok();
        }
        Ok(Self {
            client: Client::open(url)?,
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(settings.connect))
                .set_response_timeout(Some(settings.timeout)),
            timeout: settings.timeout,
            connection: None,
            scripts: Scripts {
                newer: redis::Script::new(NEWER_WINS),
                pair: redis::Script::new(PAIR),
                lane: redis::Script::new(LANE),
                price: redis::Script::new(PRICE),
                price_writer: redis::Script::new(PRICE_WRITER),
            },
        })
    }

    pub(super) const fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// The call of a script.
    pub(super) fn call(script: &redis::Script, keys: &[&str]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(keys.len()).arg(keys);
        command
    }

    /// Sends commands, many at a time, and gives their answers in the same order. What has been
    /// sent when an error comes may or may not have been done.
    ///
    /// # Errors
    /// Any of them failed, or Redis cannot be reached.
    pub(super) async fn run<T: FromRedisValue>(
        &mut self,
        commands: &[Cmd],
    ) -> Result<Vec<T>, MarketError> {
        let mut answers = Vec::with_capacity(commands.len());
        for commands in commands.chunks(TOGETHER) {
            let mut pipeline = Pipeline::with_capacity(commands.len());
            for command in commands {
                pipeline.add_command(command.clone());
            }
            for value in self.send(&pipeline).await? {
                answers.push(redis::from_redis_value(value).map_err(redis::RedisError::from)?);
            }
        }
        Ok(answers)
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&mut self) -> Result<(), MarketError> {
        self.run::<Value>(&[redis::cmd("PING")]).await?;
        Ok(())
    }

    /// The prices of tokens in dollars. Those that are not there, or cannot be read, are left out.
    ///
    /// # Errors
    /// Redis cannot be reached.
    pub async fn prices(
        &mut self,
        mints: &[Pubkey],
    ) -> Result<HashMap<Pubkey, Dollars>, MarketError> {
        let keys: Vec<String> = mints.iter().map(|mint| price(*mint)).collect();
        let ask = |key: &String| {
            let mut command = redis::cmd("GET");
            command.arg(key);
            command
        };
        let commands: Vec<Cmd> = keys.iter().map(ask).collect();
        let values: Vec<Option<Vec<u8>>> = self.run(&commands).await?;
        let found = mints.iter().zip(&keys).zip(values);
        Ok(found
            .filter_map(|((mint, key), value)| {
                let value = value?;
                let (_, body) = open(key, &value, LONGEST_DOLLARS).ok()?;
                Some((*mint, Dollars::decode(&body)?))
            })
            .collect())
    }

    async fn send(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>, MarketError> {
        let mut connection = self.connection().await?;
        let mut answers = self.query(&mut connection, pipeline).await;
        if matches!(&answers, Err(MarketError::Redis(error)) if is_no_script(error)) {
            // Another server than before, or one whose scripts were flushed. What the others of the
            // pipeline have done, they may do again.
            answers = match self.load(&mut connection).await {
                Ok(()) => self.query(&mut connection, pipeline).await,
                Err(error) => Err(error),
            };
        }
        if answers.is_err() {
            self.connection = None;
        }
        answers
    }

    async fn query(
        &self,
        connection: &mut MultiplexedConnection,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>, MarketError> {
        let answers = tokio::time::timeout(self.timeout, pipeline.query_async(connection)).await;
        Ok(answers.map_err(|_elapsed| MarketError::Timeout)??)
    }

    async fn connection(&mut self) -> Result<MultiplexedConnection, MarketError> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let client = &self.client;
        let connection = client.get_multiplexed_async_connection_with_config(&self.config);
        let connection = connection.await?;
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), MarketError> {
        let Scripts {
            newer,
            pair,
            lane,
            price,
            price_writer,
        } = &self.scripts;
        for script in [newer, pair, lane, price, price_writer] {
            script.load_async(connection).await?;
        }
        Ok(())
    }
}

fn is_no_script(error: &redis::RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
