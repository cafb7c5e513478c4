//! What processes have taken of processor and memory, as the kernel counts it.

use std::fs;

/// Ticks of a second, on every Linux there is.
const TICKS: f64 = 100.0;

/// Processor time of a process and of those of its children that have ended, in seconds.
pub fn cpu(pid: u32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0.0;
    };
    // The name, which may hold anything, ends with the last bracket.
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = fields[11..15].iter();
    ticks
        .filter_map(|text| text.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS
}

/// The same with children that run.
pub fn cpu_of_family(pid: u32) -> f64 {
    let children: f64 = children(pid).into_iter().map(cpu).sum();
    cpu(pid) + children
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Resident memory now and at most, in MB.
pub fn memory(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        number.unwrap_or(0.0) / 1000.0
    };
    (kilobytes("VmRSS:"), kilobytes("VmHWM:"))
}
