//! Asks programs over HTTP whether they are healthy: the command `health`, for images that have no
//! curl.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
    #[error("{0}: must be http://host:port/path")]
    Address(String),
    #[error("{0}: {1}")]
    Unreachable(String, io::Error),
    #[error("{0}: no answer in time")]
    Silent(String),
    #[error("{0}: {1}")]
    Refused(String, String),
}

/// Asks every address until each has answered with 2xx, for at most `wait`; at least once each.
pub async fn well(addresses: &[String], wait: Duration) -> Result<(), Unwell> {
    let end = Instant::now() + wait;
    for address in addresses {
        loop {
            match timeout(PATIENCE, ask(address)).await {
                Ok(Ok(())) => break,
                Ok(Err(error @ Unwell::Address(_))) => return Err(error),
                Ok(Err(error)) if Instant::now() >= end => return Err(error),
                Err(_) if Instant::now() >= end => return Err(Unwell::Silent(address.clone())),
                // The last attempt counts.
                _ => drop(timeout_at(end, sleep(PAUSE)).await),
            }
        }
    }
    Ok(())
}

/// One request.
async fn ask(address: &str) -> Result<(), Unwell> {
    let rest = address.strip_prefix("http://");
    let rest = rest.ok_or_else(|| Unwell::Address(address.to_owned()))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let line = status(host, path).await;
    let line = line.map_err(|error| Unwell::Unreachable(address.to_owned(), error))?;
    let code = line.split(' ').nth(1).unwrap_or_default();
    if code.len() == 3 && code.starts_with('2') {
        Ok(())
    } else {
        Err(Unwell::Refused(address.to_owned(), line))
    }
}

/// The first line of the answer.
async fn status(host: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    stream.take(HEAD).read_to_end(&mut head).await?;
    let text = String::from_utf8_lossy(&head);
    Ok(text.lines().next().unwrap_or_default().to_owned())
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
        assert!(matches!(error, Unwell::Address(_)));
    }
}
