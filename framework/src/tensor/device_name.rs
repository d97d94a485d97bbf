//! Names of devices, as configs spell them.

use std::fmt;

/// The name of the device that a run computes on: `cpu`, or `cuda:N` for the N-th GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor of this machine.
    Cpu,
    /// A GPU of NVIDIA's, counted from 0 as the driver does.
    Cuda(usize),
}

impl DeviceName {
    /// Reads a device's name.
    ///
    /// # Errors
    /// What is allowed instead: for a name that is none, and for a GPU in a program that was built without the `cuda`
    /// feature.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let gpu = text.strip_prefix("cuda:").and_then(|n| n.parse().ok());
        match (text, gpu) {
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(n)) if cfg!(feature = "cuda") => Ok(Self::Cuda(n)),
            _ if cfg!(feature = "cuda") => Err("\"cpu\", or \"cuda:N\" for the N-th GPU, counted from 0"),
            _ if text.starts_with("cuda") => {
                Err("\"cpu\"; \"cuda:N\" needs a program that was built with the cuda feature, and this one was not")
            }
            _ => Err("\"cpu\", or \"cuda:N\" in a program that was built with the cuda feature"),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_wrong_ones_explained() {
        assert_eq!(DeviceName::parse("cpu"), Ok(DeviceName::Cpu));
        assert_eq!(DeviceName::parse("cuda:2").is_ok(), cfg!(feature = "cuda"));
        for wrong in ["cuda", "cuda:x", "cuda:-1", "gpu", "CPU", ""] {
            let allowed = DeviceName::parse(wrong).expect_err("no device has this name");
            assert!(allowed.starts_with("\"cpu\""), "{wrong}");
        }
    }
}
