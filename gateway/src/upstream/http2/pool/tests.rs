//! How long callers wait for what.

use tokio::net::{TcpListener, TcpStream};

use super::*;

const SLOW: Duration = Duration::from_millis(300);

/// A caller who waits a second for a new connection and a tenth of one for a stream of another
/// call.
async fn stream(
    pool: &Arc<Http2Pool>,
    addresses: &ResolvedAddresses,
) -> Result<Option<StreamLease>, FaultKind> {
    let now = Instant::now();
    let patience = WaitDeadline {
        opening: now + Duration::from_secs(1),
        queue: now + Duration::from_millis(100),
    };
    let mut timer = pin!(None);
    pool.stream(addresses, Duration::MAX, || {}, patience, None, &mut timer)
        .await
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_may_take_longer_than_a_busy_one_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let addresses = ResolvedAddresses::new("127.0.0.1", address.port());
    let pool = Http2Pool::new(2, 2, Duration::from_mins(1));
    let socket = TcpStream::connect(address).await.unwrap();
    let opening = async {
        tokio::time::sleep(SLOW).await;
        let socket: pingora::protocols::l4::stream::Stream = socket.into();
        pool.adopt(Box::new(socket), address, &addresses)
            .await
            .unwrap();
        pool.opened();
    };
    let callers = (0..5).map(|_| stream(&pool, &addresses));
    let (served, ()) = tokio::join!(futures::future::join_all(callers), opening);
    assert!(served.iter().all(|one| matches!(one, Ok(Some(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_never_there_ends_the_wait_with_its_own_limit() {
    let addresses = ResolvedAddresses::new("127.0.0.1", 1);
    let pool = Http2Pool::new(2, 2, Duration::from_mins(1));
    let start = Instant::now();
    let fault = stream(&pool, &addresses).await.unwrap_err();
    assert_eq!(fault, FaultKind::ConnectTimeout);
    assert_eq!(start.elapsed().as_millis() / 10, 100);
}
