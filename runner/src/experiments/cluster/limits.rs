//! How much a site takes: asked, so that nothing is refused halfway.

use std::env;

use super::site::ask;

/// A site's limits, and what is used up of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest index of an array's task; one less than Slurm's `MaxArraySize`.
    pub largest_index: usize,
    /// Tasks that can be submitted now.
    pub room: usize,
}

impl Limits {
    /// Asks Slurm's `scontrol`, `sacctmgr` and `squeue`; what they do not tell is Slurm's default.
    pub fn of_site() -> Self {
        let config = ask("scontrol", &["show", "config"]).unwrap_or_default();
        let user = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_default();
        let own = (!user.is_empty()).then_some(user.as_str());
        let accounts = own.and_then(|user| {
            let of_user = format!("user={user}");
            ask("sacctmgr", &["--noheader", "--parsable2", "show", "assoc", &of_user, "format=MaxSubmitJobs"])
        });
        let queued = |user: Option<&str>| {
            let mut arguments = vec!["--noheader", "--array", "--format", "%i"];
            arguments.extend(user.iter().flat_map(|user| ["--user", user]));
            ask("squeue", &arguments).map_or(0, |text| text.lines().count())
        };
        Self::read(&config, &accounts.unwrap_or_default(), queued(None), own.map_or(0, |user| queued(Some(user))))
    }

    /// Reads what they said, with so many tasks in the queue, and so many of them this user's.
    fn read(config: &str, accounts: &str, queued: usize, own: usize) -> Self {
        let told = |key: &str| {
            let line = config.lines().find_map(|line| line.trim().strip_prefix(key)?.trim().strip_prefix('='));
            line.and_then(|value| value.trim().parse::<usize>().ok())
        };
        // Of several accounts, nobody says here which one is meant: the strictest fits all.
        let of_user = accounts.lines().filter_map(|line| line.trim().parse::<usize>().ok()).min();
        let room = told("MaxJobCount").unwrap_or(10_000).saturating_sub(queued);
        let room = of_user.map_or(room, |most| room.min(most.saturating_sub(own)));
        Self { largest_index: told("MaxArraySize").unwrap_or(1001).saturating_sub(1).max(1), room }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_prints_is_read() {
        let config = "Configuration data as of 2026-11-28T12:00:00\nMaxArraySize            = 2001\nMaxJobCount             = 5000\n\
                      MaxJobId                = 67043328\n";
        assert_eq!(Limits::read(config, "", 0, 0), Limits { largest_index: 2000, room: 5000 });
        assert_eq!(Limits::read(config, "\n500\n300\n", 4950, 10), Limits { largest_index: 2000, room: 50 });
        assert_eq!(Limits::read(config, "500\n", 600, 480), Limits { largest_index: 2000, room: 20 });
        assert_eq!(Limits::read("", "", 9_999_999, 0), Limits { largest_index: 1000, room: 0 });
    }
}
