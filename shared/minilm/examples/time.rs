//! Measures the time of embedding. Usage: `time DIRECTORY`.
//!
//! Loads the model and prints the nanoseconds that it took. Then reads lines of standard input, each a JSON array of a number
//! of repetitions and a text. Answers each with a JSON array of nanoseconds per repetition: wall-clock time, and CPU time.

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use mneme_minilm::model::Model;
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: time DIRECTORY")?);
    let begun = Instant::now();
    let model = Model::load(&directory).map_err(|error| format!("{error}; {}", error.remediation()))?;
    println!("{}", begun.elapsed().as_nanos());
    for line in io::stdin().lines() {
        let (times, text): (usize, String) = serde_json::from_str(&line?)?;
        let times: Vec<[i128; 2]> = (0..times)
            .map(|_| {
                let (begun, cpu_begun) = (Instant::now(), cpu_time());
                black_box(model.embed(&[black_box(&text)]));
                [begun.elapsed().as_nanos() as i128, cpu_time() - cpu_begun]
            })
            .collect();
        println!("{}", serde_json::to_string(&times)?);
        io::stdout().flush()?;
    }
    Ok(())
}

/// The CPU time of this thread in nanoseconds. On a shared machine, wall-clock time includes the work of others.
fn cpu_time() -> i128 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
