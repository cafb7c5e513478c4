//! A server that accepts connections as Redis does up to the first answer, and then misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does from the second question on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It speaks another protocol.
    Foreign,
    /// It hangs up at the first question.
    HangsUp,
    /// It never answers.
    Silent,
    /// It begins an answer that never ends, as fast as it is read.
    Endless,
    /// It answers with a number, whatever is asked.
    Number,
    /// It announces a list of more items than there can be.
    Countless,
}

/// A pretended Redis; ends when dropped.
#[derive(Debug)]
pub struct Impostor {
    port: u16,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Impostor {
    /// Listens on a free port.
    ///
    /// # Panics
    /// If none is free.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                // Whoever hangs up on it is right.
                tokio::spawn(async move { drop(serve(stream, manner).await) });
            }
        });
        Self {
            port,
            connections,
            accepting,
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://localhost:{}", self.port)
    }

    /// Connections it has taken so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut read = vec![0; 16 * 1024];
    let mut greeted = false;
    loop {
        let length = stream.read(&mut read).await?;
        if length == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(read.get(..length).unwrap_or_default()).into_owned();
        let set_up = text.matches("SETINFO").count();
        if set_up > 0 {
            stream
                .write_all("+OK\r\n".repeat(set_up).as_bytes())
                .await?;
            continue;
        }
        if !greeted {
            greeted = true;
            stream.write_all(b"+PONG\r\n").await?;
            continue;
        }
        let answer: &[u8] = match manner {
            Manner::Foreign => b"HTTP/1.1 400 Bad Request\r\n\r\n",
            Manner::HangsUp => return Ok(()),
            Manner::Silent => b"",
            Manner::Number => b":7\r\n",
            Manner::Countless => b"*9000000000000000000\r\n",
            Manner::Endless => b"$9000000000000000000\r\n",
        };
        stream.write_all(answer).await?;
        if manner == Manner::Endless {
            let page = vec![b'x'; 64 * 1024];
            loop {
                stream.write_all(&page).await?;
            }
        }
    }
}
