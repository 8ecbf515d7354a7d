//! `bench floor`: what reading a capture costs any engine.

use std::time::Instant;

use clap::Args;

use crate::control::bench::tell;
use crate::control::cli::Failure;
use crate::control::output;
use crate::control::replay::InputArguments;
use crate::model::block::Block;
use crate::pipeline::capture::Source;
use crate::pipeline::capture::State;

/// What can be said to `bench floor`.
#[derive(Args, Debug)]
pub struct FloorArguments {
    #[command(flatten)]
    input: InputArguments,
}

/// Runs it.
///
/// # Errors
///
/// When no capture is usable.
pub(super) fn run(arguments: &FloorArguments) -> Result<u8, Failure> {
    let mut files = output::open(&arguments.input)?;
    let mut block = Block::new(1);
    let (mut frames, mut bytes, mut touched) = (0_u64, 0_u64, 0_u64);
    let started = Instant::now();
    loop {
        block.clear();
        let state = files.fill(&mut block);
        for frame in &block.frames {
            frames += 1;
            bytes += u64::from(frame.captured_bytes);
            // one byte of the header: its cache line has to come in
            touched += block.bytes.get(frame.at as usize).map_or(0, |byte| u64::from(*byte));
        }
        if state == State::Ended {
            break;
        }
    }
    let secs = started.elapsed().as_secs_f64();
    std::hint::black_box(touched);
    tell("floor", secs, frames, bytes, files.damages())
}
