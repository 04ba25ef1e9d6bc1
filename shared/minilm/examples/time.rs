//! How long embedding takes: loads the model and says how long that took, then answers each line on standard input, a
//! JSON array of how often and which text, with the nanoseconds of each time: by the clock, and of the processor.
//! usage: time DIRECTORY

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
                let (begun, worked) = (Instant::now(), worked());
                black_box(model.embed(&[black_box(&text)]));
                [begun.elapsed().as_nanos() as i128, self::worked() - worked]
            })
            .collect();
        println!("{}", serde_json::to_string(&times)?);
        io::stdout().flush()?;
    }
    Ok(())
}

/// What this thread has had of a processor, in nanoseconds: on a machine that others use, the clock counts their work,
/// too.
fn worked() -> i128 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
