use std::net::TcpListener;
use std::os::fd::AsRawFd;

use tempfile::TempDir;

use super::*;

/// A folder of this user's, and a socket in it.
fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("upgrade.sock");
    (folder, socket)
}

fn listener() -> (TcpListener, (String, RawFd)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let descriptor = listener.as_raw_fd();
    (listener, (address, descriptor))
}

/// A successor that waits in a thread of its own.
fn successor(socket: &Path) -> std::thread::JoinHandle<Result<Inherited, UpgradeError>> {
    let socket = socket.to_owned();
    std::thread::spawn(move || Inherited::wait(&socket))
}

#[tokio::test]
async fn the_successor_gets_the_sockets_and_the_old_process_hears_when_it_listens() {
    let (_folder, socket) = place();
    let (listener, own) = listener();
    let waits = successor(&socket);
    let takes = std::thread::spawn(move || {
        let mut inherited = waits.join().unwrap().unwrap();
        let descriptor = inherited.take(&own.0).unwrap();
        assert!(inherited.take(&own.0).is_none());
        inherited.listening();
        descriptor
    });
    let own = (
        listener.local_addr().unwrap().to_string(),
        listener.as_raw_fd(),
    );
    hand_over(&socket, &[own]).await.unwrap();
    let descriptor = takes.join().unwrap();
    assert_ne!(descriptor, listener.as_raw_fd());
    assert!(!socket.exists(), "nobody finds it who comes later");
    nix::unistd::close(descriptor).unwrap();
}

#[tokio::test]
async fn a_successor_that_ends_before_it_listens_is_told_from_one_that_does() {
    let (_folder, socket) = place();
    let (_listener, own) = listener();
    let waits = successor(&socket);
    let ends = std::thread::spawn(move || drop(waits.join().unwrap().unwrap()));
    let error = hand_over(&socket, &[own]).await.unwrap_err();
    assert!(matches!(error, UpgradeError::Successor(_)), "{error}");
    ends.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_nobody_waits_nothing_is_handed_over() {
    let (_folder, socket) = place();
    let (_listener, own) = listener();
    let error = hand_over(&socket, &[own]).await.unwrap_err();
    assert!(matches!(error, UpgradeError::Socket { .. }), "{error}");
}

#[tokio::test]
async fn what_is_in_the_way_is_left_alone_unless_it_is_a_socket_nobody_listens_on() {
    let (_folder, socket) = place();
    std::fs::write(&socket, "a file").unwrap();
    let error = Inherited::wait(&socket).unwrap_err();
    assert!(matches!(error, UpgradeError::InTheWay(_)), "{error}");
    assert!(socket.exists());
    std::fs::remove_file(&socket).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    let (_listener, own) = listener();
    let waits = successor(&socket);
    let ends = std::thread::spawn(move || waits.join().unwrap().unwrap().listening());
    hand_over(&socket, &[own]).await.unwrap();
    ends.join().unwrap();
}

#[tokio::test]
async fn a_place_that_others_can_write_to_is_refused_by_both() {
    let (folder, socket) = place();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = Inherited::wait(&socket).unwrap_err().to_string();
    assert!(error.contains("is writable by other users"), "{error}");
    let (_listener, own) = listener();
    let error = hand_over(&socket, &[own]).await.unwrap_err().to_string();
    assert!(error.contains("is writable by other users"), "{error}");
}

#[test]
fn ones_own_end_is_of_the_same_user() {
    let (own, _other) = UnixStream::pair().unwrap();
    check_peer(&own).unwrap();
}
