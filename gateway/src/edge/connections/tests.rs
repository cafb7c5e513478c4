//! Bounds, room for newcomers, and what waits for slow clients, with the clock stopped.

use std::net::IpAddr;

use super::*;

fn connections() -> Arc<ClientConnections> {
    Arc::new(ClientConnections::new(None, &Registry::new()).unwrap())
}

fn limits(all: usize, per_address: usize) -> Limits {
    Limits {
        connections: Some(all),
        connections_per_address: Some(per_address),
        unsent: 1000,
        unsent_per_connection: 300,
        ..Limits::default()
    }
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

async fn pass(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn the_longest_waiting_connection_makes_room() {
    let (connections, limits) = (connections(), limits(3, 3));
    let mut admitted = Vec::new();
    for last in 1..=3 {
        admitted.push(connections.admit(Some(address(last)), &limits).unwrap());
        pass(100).await;
    }
    // The first has served a request since.
    assert!(admitted[0].begin());
    admitted[0].end(Instant::now());
    let newcomer = connections.admit(Some(address(4)), &limits).unwrap();
    let cut: Vec<_> = admitted.iter().map(|one| one.is_cut()).collect();
    assert_eq!(cut, [false, true, false]);
    assert!(!admitted[1].begin(), "what was given up serves no request");
    assert!(newcomer.begin());
}

#[tokio::test(start_paused = true)]
async fn nobody_who_is_served_makes_room() {
    let (connections, limits) = (connections(), limits(2, 2));
    let admitted = [1, 2].map(|last| connections.admit(Some(address(last)), &limits).unwrap());
    for one in &admitted {
        assert!(one.begin());
    }
    assert!(connections.admit(Some(address(3)), &limits).is_none());
    admitted[0].end(Instant::now());
    assert!(connections.admit(Some(address(3)), &limits).is_some());
    assert!(admitted[0].is_cut() && !admitted[1].is_cut());
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_nothing_is_done_for_makes_room_after_a_while() {
    let (connections, limits) = (connections(), limits(2, 2));
    let admitted = [1, 2].map(|last| connections.admit(Some(address(last)), &limits).unwrap());
    for one in &admitted {
        assert!(one.begin());
        one.is_used(false);
    }
    admitted[0].is_used(true);
    let newcomer = || connections.admit(Some(address(3)), &limits);
    pass(4_000).await;
    assert!(newcomer().is_none(), "its client may be about to subscribe");
    pass(2_000).await;
    let third = newcomer().unwrap();
    assert!(!admitted[0].is_cut() && admitted[1].is_cut());
    assert!(third.begin());
    assert!(newcomer().is_none(), "the others are used");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_accepts_nothing_makes_room_after_a_while() {
    let (connections, limits) = (connections(), limits(2, 2));
    let admitted = [1, 2].map(|last| connections.admit(Some(address(last)), &limits).unwrap());
    for one in &admitted {
        assert!(one.begin());
    }
    let waiting = admitted
        .each_ref()
        .map(|one| one.charge(44, &limits).unwrap());
    pass(4_000).await;
    waiting[1].taken();
    assert!(connections.admit(Some(address(3)), &limits).is_none());
    pass(2_000).await;
    assert!(connections.admit(Some(address(3)), &limits).is_some());
    assert!(admitted[0].is_cut() && !admitted[1].is_cut());
}

#[tokio::test(start_paused = true)]
async fn an_address_with_too_many_makes_room_among_its_own() {
    let (connections, limits) = (connections(), limits(10, 2));
    let other = connections.admit(Some(address(9)), &limits).unwrap();
    pass(100).await;
    let own = [1, 1].map(|last| connections.admit(Some(address(last)), &limits).unwrap());
    let _third = connections.admit(Some(address(1)), &limits).unwrap();
    assert!(!other.is_cut());
    assert_eq!(own.iter().filter(|one| one.is_cut()).count(), 1);
    let six = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let network = ["2001:db8::1", "2001:db8::2:0:0:1"]
        .map(|text| connections.admit(six(text), &limits).unwrap());
    let _third = connections.admit(six("2001:db8::3"), &limits).unwrap();
    assert!(
        network.iter().any(|one| one.is_cut()),
        "a /64 is one address"
    );
    let _same = ["::ffff:10.0.0.9"; 2].map(|text| connections.admit(six(text), &limits).unwrap());
    assert!(
        other.is_cut(),
        "an address of IPv4 in the form of IPv6 is the same"
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_leaves_its_place() {
    let (connections, limits) = (connections(), limits(1, 1));
    for _ in 0..3 {
        let admitted = connections.admit(Some(address(1)), &limits).unwrap();
        assert!(admitted.begin());
        assert!(connections.admit(Some(address(1)), &limits).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_connection_ends_what_it_does() {
    let (connections, limits) = (connections(), limits(1, 1));
    let admitted = connections.admit(None, &limits).unwrap();
    let tracked = Arc::clone(&admitted);
    let working = tokio::spawn(async move {
        tracked.until_cut(std::future::pending::<()>()).await;
    });
    tokio::task::yield_now().await;
    assert!(connections.admit(None, &limits).is_some());
    working.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_answer_may_always_wait_and_more_only_within_the_bound() {
    let (connections, limits) = (connections(), limits(9, 9));
    let one = connections.admit(Some(address(1)), &limits).unwrap();
    let large = one.charge(2000, &limits).unwrap();
    assert!(one.has_no_room(&limits));
    assert_eq!(one.charge(1, &limits).unwrap_err(), NoRoom);
    drop(large);
    let _small = one.charge(299, &limits).unwrap();
    assert!(!one.has_no_room(&limits));
    assert!(one.charge(1, &limits).is_ok());
    assert!(one.charge(2, &limits).is_err());
}

#[tokio::test(start_paused = true)]
async fn what_waits_longest_makes_room_for_other_answers() {
    let (connections, limits) = (connections(), limits(9, 9));
    let open = |last| connections.admit(Some(address(last)), &limits).unwrap();
    let (slow, slower, quick) = (open(1), open(2), open(3));
    let _most = slower.charge(500, &limits).unwrap();
    let _less = slow.charge(400, &limits).unwrap();
    assert!(
        quick.charge(200, &limits).is_err(),
        "nobody is slow yet, so the newcomer is refused"
    );
    pass(2000).await;
    let _taken = quick.charge(200, &limits).unwrap();
    let cut = [&slow, &slower, &quick].map(|one| one.is_cut());
    assert_eq!(cut, [false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_nothing_for_too_long_is_cut() {
    let (connections, limits) = (connections(), limits(9, 9));
    let open = |last| connections.admit(Some(address(last)), &limits).unwrap();
    let (stalled, reading, idle) = (open(1), open(2), open(3));
    let _kept = stalled.charge(10, &limits).unwrap();
    let taken = reading.charge(10, &limits).unwrap();
    pass(20_000).await;
    taken.taken();
    pass(10_000).await;
    connections.cut_stalled(Duration::from_secs(30), false);
    let cut = [&stalled, &reading, &idle].map(|one| one.is_cut());
    assert_eq!(cut, [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_long_while_the_gateway_stops() {
    let (connections, limits) = (connections(), limits(9, 9));
    let open = |last| connections.admit(Some(address(last)), &limits).unwrap();
    let (stalled, served, silent) = (open(1), open(2), open(3));
    assert!(served.begin() && stalled.begin());
    let _kept = stalled.charge(10, &limits).unwrap();
    let silent = tokio::spawn(async move { silent.until_cut(std::future::pending::<()>()).await });
    pass(6_000).await;
    connections.cut_stalled(Duration::from_secs(30), true);
    pass(1_000).await;
    assert!(
        !silent.is_finished(),
        "it may speak for as long as the others"
    );
    pass(5_000).await;
    connections.cut_stalled(Duration::from_secs(30), true);
    silent.await.unwrap();
    let cut = [&stalled, &served].map(|one| one.is_cut());
    assert_eq!(cut, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_has_read_yet_is_served_before_its_connection_ends() {
    let (connections, limits) = (connections(), limits(9, 9));
    let open = |last| connections.admit(Some(address(last)), &limits).unwrap();
    let (idle, asking) = (open(1), open(2));
    connections.dismiss_idle();
    idle.until_cut(std::future::pending::<()>()).await;
    // Its socket is looked at when others have run.
    let mut served = false;
    let work = async {
        tokio::task::yield_now().await;
        assert!(asking.begin());
        pass(3_000).await;
        asking.end(Instant::now());
        served = true;
        std::future::pending::<()>().await;
    };
    asking.until_cut(work).await;
    assert!(served);
}

#[tokio::test(start_paused = true)]
async fn bodies_give_back_what_they_counted() {
    let (connections, limits) = (connections(), limits(9, 9));
    let client = connections.admit(Some(address(1)), &limits).unwrap();
    let mut alone = client.unfinished_body(100);
    assert!(alone.add(150), "one may always arrive");
    let mut other = client.unfinished_body(100);
    assert!(!other.add(1));
    drop((alone, other));
    let mut first = client.unfinished_body(100);
    let mut second = client.unfinished_body(100);
    assert!(first.add(40) && second.add(20) && !first.add(1));
}

#[tokio::test(start_paused = true)]
async fn as_much_as_an_address_may_hold_is_left_for_others() {
    let (connections, limits) = (connections(), limits(99, 9));
    let (mut clients, mut held) = (Vec::new(), Vec::new());
    for (last, most) in [(1, 500), (2, 250), (3, 125)] {
        let mut taken = 0;
        for _ in 0..3 {
            let client = connections.admit(Some(address(last)), &limits).unwrap();
            for _ in 0..10 {
                if let Ok(charge) = client.charge(25, &limits) {
                    taken += 25;
                    held.push(charge);
                }
            }
            let mut body = client.unfinished_body(1000);
            assert!(
                body.add(25),
                "unfinished requests have a limit of their own"
            );
            clients.push(client);
        }
        assert_eq!(taken, most, "{last}");
    }
}

#[test]
fn bounds_follow_the_descriptors_where_nothing_else_is_said() {
    let most = |allowed| ClientConnections::new(allowed, &Registry::new()).unwrap();
    let bounds = |connections: ClientConnections, all, per_address| {
        let bounds = connections.bounds(&Limits {
            connections: all,
            connections_per_address: per_address,
            ..Limits::default()
        });
        (bounds.all, bounds.per_address)
    };
    assert_eq!(bounds(most(None), None, None), (16_384, 8192));
    assert_eq!(bounds(most(Some(49)), None, None), (49, 25));
    assert_eq!(bounds(most(Some(49)), Some(1000), Some(900)), (49, 49));
    assert_eq!(bounds(most(Some(49)), Some(10), None), (10, 5));
    assert_eq!(bounds(most(Some(1_000_000)), None, None), (16_384, 8192));
    assert_eq!(
        bounds(most(Some(1_000_000)), Some(50_000), None),
        (50_000, 25_000)
    );
}
