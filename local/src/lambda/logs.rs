//! What the instances print: on to our stderr, each line with the name of its instance.

use std::io::Write as _;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Copies `output` line by line until it ends. Never to stdout: that is for the `ready` line and the demo's table.
pub(super) async fn forward(output: impl AsyncRead + Unpin, instance: String) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                // One write per line, so that the lines of several instances do not mix; and a closed stderr is no
                // reason to stop reading, which would block the child.
                let _ = std::io::stderr().write_all(format!("[{instance}] {}\n", text.trim_end()).as_bytes());
            }
        }
    }
}
