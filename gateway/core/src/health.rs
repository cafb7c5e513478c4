//! Asks programs over HTTP whether they are healthy: the command `health`, for images that have no
//! curl.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep, timeout, timeout_at};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// No more of an answer is read than its status needs.
const HEAD: u64 = 64;

/// Why an address does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    /// The address, and what it must be.
    #[error("{0}: must be {1}")]
    Address(String, &'static str),
    #[error("{0}: {1}")]
    Unreachable(String, io::Error),
    #[error("{0}: no answer in time")]
    Silent(String),
    #[error("{0}: {1}")]
    Refused(String, String),
}

/// The parts of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthUrl<'a> {
    text: &'a str,
    /// Whether it is one of https.
    pub is_secure: bool,
    /// Host and port.
    pub authority: &'a str,
    path: &'a str,
}

impl<'a> HealthUrl<'a> {
    /// Reads `http://host:port/path`, or the same with https.
    pub fn read(text: &'a str) -> Option<Self> {
        let secure = text.strip_prefix("https://");
        let rest = secure.or_else(|| text.strip_prefix("http://"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self {
            text,
            is_secure: secure.is_some(),
            authority,
            path,
        })
    }

    /// Asks over a connection. `fields` are further lines of the head, each with its end.
    ///
    /// # Errors
    /// Whatever else than 2xx was the answer.
    pub async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        fields: &str,
    ) -> Result<(), Unwell> {
        let line = self.status(stream, fields).await;
        let line = line.map_err(|error| self.unreachable(error))?;
        let code = line.split(' ').nth(1).unwrap_or_default();
        if code.len() == 3 && code.starts_with('2') {
            Ok(())
        } else {
            Err(Unwell::Refused(self.text.to_owned(), line))
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody is there.
    pub async fn connect(&self) -> Result<TcpStream, Unwell> {
        let connected = TcpStream::connect(self.authority).await;
        connected.map_err(|error| self.unreachable(error))
    }

    /// The error of one that cannot be reached.
    pub fn unreachable(&self, error: io::Error) -> Unwell {
        Unwell::Unreachable(self.text.to_owned(), error)
    }

    /// The first line of the answer.
    async fn status(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        fields: &str,
    ) -> io::Result<String> {
        let Self {
            authority, path, ..
        } = self;
        let request = format!(
            "GET /{path} HTTP/1.1\r\nhost: {authority}\r\n{fields}connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        stream.take(HEAD).read_to_end(&mut head).await?;
        let text = String::from_utf8_lossy(&head);
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// Asks every address until each has answered with 2xx, for at most `wait`; at least once each.
///
/// # Errors
/// The first that has not.
pub async fn well(addresses: &[String], wait: Duration) -> Result<(), Unwell> {
    well_by(addresses, wait, ask).await
}

/// The same, with a way to ask one of them.
///
/// # Errors
/// The first that has not.
pub async fn well_by(
    addresses: &[String],
    wait: Duration,
    ask: impl AsyncFn(&str) -> Result<(), Unwell>,
) -> Result<(), Unwell> {
    let end = Instant::now() + wait;
    for address in addresses {
        loop {
            match timeout(PATIENCE, ask(address)).await {
                Ok(Ok(())) => break,
                Ok(Err(error @ Unwell::Address(..))) => return Err(error),
                Ok(Err(error)) if Instant::now() >= end => return Err(error),
                Err(_) if Instant::now() >= end => return Err(Unwell::Silent(address.clone())),
                // The last attempt counts.
                _ => drop(timeout_at(end, sleep(PAUSE)).await),
            }
        }
    }
    Ok(())
}

/// One request in cleartext.
async fn ask(address: &str) -> Result<(), Unwell> {
    let url = HealthUrl::read(address).filter(|url| !url.is_secure);
    let wrong = || Unwell::Address(address.to_owned(), "http://host:port/path");
    let url = url.ok_or_else(wrong)?;
    url.ask(url.connect().await?, "").await
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives these status lines, one for each connection, and then the last one for ever.
    async fn server(lines: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for turn in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /ready HTTP/1.1\r\n"));
                let line = lines[turn.min(lines.len() - 1)];
                let answer = format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}/ready")
    }

    #[tokio::test]
    async fn an_address_that_answers_is_well_and_one_that_refuses_says_why() {
        let good = server(&["200 OK"]).await;
        assert!(
            well(std::slice::from_ref(&good), Duration::ZERO)
                .await
                .is_ok()
        );
        let bad = server(&["503 Service Unavailable"]).await;
        let error = well(&[good, bad], Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().ends_with("503 Service Unavailable"));
    }

    #[tokio::test]
    async fn it_waits_for_one_that_comes_to_be_well() {
        let late = server(&["503 Service Unavailable", "204 No Content"]).await;
        assert!(well(&[late], Duration::from_mins(1)).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_there_and_what_is_no_address_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let error = well(&[nobody], Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, Unwell::Unreachable(..)));
        let error = well(&["https://x".to_owned()], Duration::from_mins(1))
            .await
            .unwrap_err();
        assert!(matches!(error, Unwell::Address(..)));
    }
}
