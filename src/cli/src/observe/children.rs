//! The processes that descend from one.

use std::collections::BTreeMap;
use std::fs;

/// All that descend from this process and run.
pub fn descendants(of: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut left = vec![of];
    while let Some(pid) = left.pop() {
        let those = children.remove(&pid).unwrap_or_default();
        found.extend(&those);
        left.extend(those);
    }
    found
}

/// Whose child it is; nothing where it has ended.
fn parent(stat: &str) -> Option<u32> {
    // Behind the program's name, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_run_are_found() {
        let sleeper = std::process::Command::new("sleep").arg("60").spawn();
        let mut sleeper = sleeper.unwrap();
        assert!(descendants(std::process::id()).contains(&sleeper.id()));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(!descendants(std::process::id()).contains(&sleeper.id()));
        assert_eq!(parent("7 (a) b) S 3 7"), Some(3));
        assert_eq!(parent("7 (a) Z 3 7"), None);
        assert_eq!(parent("nonsense"), None);
    }
}
