//! Dotted keys, quoted the way TOML quotes them, so that `prune.table."blocks.0"` has three parts.

/// Joins the parts of a key, quoting those that are not bare.
pub fn dotted<S: AsRef<str>>(parts: &[S]) -> String {
    let quoted: Vec<String> = parts.iter().map(|part| quoted(part.as_ref())).collect();
    quoted.join(".")
}

/// Splits a key as TOML does, or `None` where it is not one key.
pub fn split(key: &str) -> Option<Vec<String>> {
    if key.contains(['\n', '\r']) {
        return None;
    }
    let mut table: toml::Table = toml::from_str(&format!("{key} = 0")).ok()?;
    let mut parts = Vec::new();
    loop {
        let mut entries = table.into_iter();
        let (part, value) = entries.next()?;
        if entries.next().is_some() {
            return None;
        }
        parts.push(part);
        match value {
            toml::Value::Table(inner) => table = inner,
            toml::Value::Integer(0) => return Some(parts),
            _ => return None,
        }
    }
}

fn quoted(part: &str) -> String {
    let bare = !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { part.to_owned() } else { toml::Value::from(part).to_string() }
}

/// The leaves of a table: dotted keys may stand quoted or as tables.
pub fn flat(table: &toml::Table) -> Vec<(Vec<String>, toml::Value)> {
    let mut leaves = Vec::new();
    for (name, value) in table {
        let path = split(name).unwrap_or_else(|| vec![name.clone()]);
        match value {
            toml::Value::Table(inner) => {
                leaves.extend(flat(inner).into_iter().map(|(rest, value)| ([path.clone(), rest].concat(), value)));
            }
            other => leaves.push((path, other.clone())),
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_with_dots_are_quoted_and_come_back() {
        let key = dotted(&["prune", "table", "blocks.0"]);
        assert_eq!(key, r#"prune.table."blocks.0""#);
        assert_eq!(split(&key), Some(vec!["prune".into(), "table".into(), "blocks.0".into()]));
    }

    #[test]
    fn what_is_not_one_key_is_refused() {
        for bad in ["", "a..b", "a b", "a = 1\nb", "[a]\nb"] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }
}
