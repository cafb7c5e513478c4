use super::*;

const COURSE: [SilenceSign; 5] = [
    SilenceSign::Fine,
    SilenceSign::Ask,
    SilenceSign::Doubted,
    SilenceSign::Doubted,
    SilenceSign::Dead,
];

#[test]
fn only_silence_after_a_call_counts_and_any_byte_ends_it() {
    let mut silence = SilenceTimer::default();
    assert!((0..20).all(|_| silence.beat(0, 0, false) == SilenceSign::Fine));
    assert!((1..20).all(|heard| silence.beat(heard, heard, true) == SilenceSign::Fine));
    let course: Vec<_> = (0..5).map(|_| silence.beat(19, 19, true)).collect();
    assert_eq!(course, COURSE);
    assert_eq!(
        silence.beat(20, 19, true),
        SilenceSign::Fine,
        "it answered the PING"
    );
}

#[test]
fn callers_that_gave_up_do_not_make_a_dead_connection_good() {
    let mut silence = SilenceTimer::default();
    silence.beat(1, 1, false);
    // Each call is cancelled before the next check.
    let course: Vec<_> = (2..7).map(|asked| silence.beat(1, asked, false)).collect();
    assert_eq!(course, COURSE);
}
