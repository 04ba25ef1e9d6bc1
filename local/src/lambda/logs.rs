//! The output of the instances, forwarded line by line. Each line starts with the name of its instance.

use std::io::Write as _;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use crate::options::Log;

/// Copies `output` line by line until it ends. Nothing goes to stdout, which has the `ready` line or the demo's table.
pub(super) async fn forward(output: impl AsyncRead + Unpin, instance: String, log: Log) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = format!("[{instance}] {}", text.trim_end());
                // Errors are ignored: if this stopped reading, the child would block on its full pipe.
                match &log {
                    // One write per line, so that the lines of several instances do not mix.
                    Log::Stderr => drop(std::io::stderr().write_all(format!("{text}\n").as_bytes())),
                    Log::Channel(lines) => drop(lines.send(text)),
                }
            }
        }
    }
}
