//! Which kept connection is used again, and which never.

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::upstream::transport::resolve::ResolvedAddresses;

const ORDINARY: PermitRequest = PermitRequest::own(Priority::Medium);

struct Pair {
    addresses: ResolvedAddresses,
    address: SocketAddr,
    listener: TcpListener,
    connections: Arc<Http1Connections>,
}

impl Pair {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            addresses: ResolvedAddresses::new("127.0.0.1", address.port()),
            address,
            listener,
            connections: Http1Connections::new(4, 8, Duration::from_mins(1)),
        }
    }

    /// A connection that was used and put back, and the upstream's end of it.
    async fn kept(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (other, _) = self.listener.accept().await.unwrap();
        let stream: pingora::protocols::l4::stream::Stream = stream.into();
        let now = Instant::now();
        let connection = Http1Connection::new(Box::new(stream), self.address, &self.addresses, now);
        let slot = self.connections.try_slot(ORDINARY).unwrap();
        slot.keep(connection, &self.addresses, now);
        other
    }

    fn reuse(&self, idle: Duration) -> Option<Box<Http1Connection>> {
        let slot = self.connections.try_slot(ORDINARY).unwrap();
        slot.reuse(&self.addresses, idle, Instant::now())
    }

    async fn settled(&self) {
        // Lets the runtime see what came from the other end.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn the_last_one_used_is_used_next() {
    let pair = Pair::new().await;
    let ends = [pair.kept().await, pair.kept().await];
    let mut connection = pair.reuse(Duration::MAX).unwrap();
    AsyncWriteExt::write_all(&mut connection.stream, b"x")
        .await
        .unwrap();
    ends[1].readable().await.unwrap();
    assert_eq!(pair.connections.idle(), 1);
}

#[tokio::test]
async fn one_that_was_closed_or_spoke_is_skipped() {
    let pair = Pair::new().await;
    let alive = pair.kept().await;
    drop(pair.kept().await);
    let mut talking = pair.kept().await;
    talking.write_all(b"HTTP/1.1 408\r\n").await.unwrap();
    pair.settled().await;
    assert!(pair.reuse(Duration::MAX).is_some());
    assert_eq!(pair.connections.idle(), 0);
    drop(alive);
}

#[tokio::test(start_paused = true)]
async fn one_that_rested_too_long_is_closed() {
    let pair = Pair::new().await;
    let _end = pair.kept().await;
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(pair.reuse(Duration::from_secs(1)).is_none());
    assert_eq!(pair.connections.idle(), 1, "too old for this call only");
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(pair.reuse(Duration::MAX).is_none());
    assert_eq!(pair.connections.idle(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_upstreams_own_limit_counts_with_a_margin() {
    let pair = Pair::new().await;
    let _end = pair.kept().await;
    let mut connection = pair.reuse(Duration::MAX).unwrap();
    connection.kept_for(Some(Duration::from_secs(5)), Instant::now());
    let slot = pair.connections.try_slot(ORDINARY).unwrap();
    slot.keep(connection, &pair.addresses, Instant::now());
    tokio::time::advance(Duration::from_millis(4100)).await;
    assert!(pair.reuse(Duration::MAX).is_none());
}

#[tokio::test(start_paused = true)]
async fn pruning_closes_the_old_and_the_dead_and_keeps_the_order() {
    let pair = Pair::new().await;
    let _old = pair.kept().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let _first = pair.kept().await;
    drop(pair.kept().await);
    let last = pair.kept().await;
    pair.settled().await;
    pair.connections.prune(&pair.addresses, Instant::now());
    assert_eq!(pair.connections.idle(), 2);
    let mut connection = pair.reuse(Duration::MAX).unwrap();
    AsyncWriteExt::write_all(&mut connection.stream, b"x")
        .await
        .unwrap();
    last.readable().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_burst_opened_beyond_those_that_are_kept_is_closed_soon() {
    let pair = Pair::new().await;
    let connections = Http1Connections::new(1, 8, Duration::from_mins(1));
    let pair = Pair {
        connections,
        ..pair
    };
    let _ends = [pair.kept().await, pair.kept().await, pair.kept().await];
    let idle_after = |passed| {
        tokio::spawn(tokio::time::advance(passed));
        let (pair, passed) = (&pair, Instant::now() + passed);
        async move {
            tokio::time::sleep_until(passed).await;
            pair.connections.prune(&pair.addresses, Instant::now());
            pair.connections.idle()
        }
    };
    assert_eq!(idle_after(Duration::from_secs(4)).await, 3);
    assert_eq!(idle_after(Duration::from_secs(2)).await, 1);
}

#[tokio::test]
async fn the_places_in_use_are_counted_and_freed() {
    let connections = Http1Connections::new(1, 2, Duration::from_mins(1));
    let first = connections.try_slot(ORDINARY).unwrap();
    let second = connections
        .slot(ORDINARY, Duration::from_secs(1))
        .await
        .unwrap();
    assert!(connections.try_slot(ORDINARY).is_none());
    assert_eq!(connections.busy(), 2);
    drop(first);
    assert_eq!(connections.busy(), 1);
    drop(second);
    assert!(connections.try_slot(ORDINARY).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_idle_one_makes_room_when_the_ceiling_is_reached() {
    let mut pair = Pair::new().await;
    pair.connections = Http1Connections::new(4, 2, Duration::from_mins(1));
    let mut oldest = pair.kept().await;
    let _newer = pair.kept().await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let slot = pair.connections.try_slot(ORDINARY).unwrap();
    let recent = Duration::from_secs(1);
    let reused = slot.reuse(&pair.addresses, recent, Instant::now());
    assert!(reused.is_none() && pair.connections.idle() == 2);
    slot.make_room();
    assert_eq!((pair.connections.busy(), pair.connections.idle()), (1, 1));
    let mut byte = [0; 1];
    let read = AsyncReadExt::read(&mut oldest, &mut byte).await;
    assert_eq!(read.unwrap(), 0, "it was closed");
}
