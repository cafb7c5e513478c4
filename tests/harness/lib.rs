//! Harness for end-to-end tests: the real binaries on free ports, scripted upstreams, clients.
