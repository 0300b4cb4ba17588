//! The calls that take batches: keep, score, apply, update.

use super::Runner;
use super::budget::Budget;
use super::work::Rows;
use crate::guest::Guest;
use crate::job::{self, Job};
use crate::reply::{self, Checked};
use crate::setup::Setup;
use crate::wire::BatchIn;
use crate::{Bound, Fault, Finding, Found, Halted, Input, Kept, RowFault, Table, fault};
use std::borrow::Cow;
use std::ops::Range;
use tidegate_record::{Batch, Column};

/// Rows as the guest gets them: without those to be skipped.
struct Taken<'a> {
    batch: Cow<'a, Batch>,
    devices: Option<Column>,
    slots: Option<Cow<'a, [u32]>>,
    /// The input's row of each row taken; `None`: they are the same.
    origin: Option<Vec<u32>>,
    rows: usize,
}

impl Runner {
    /// Filter: which rows stay.
    pub fn keep(&mut self, input: Input<'_>) -> Result<Kept, Halted> {
        let taken = self.take(input);
        let work = Rows {
            job: taken.job(&self.setup),
            call: |guest: &mut Guest, setup: &Setup, batch: BatchIn<'_>| {
                let (rows, kept) = (batch.rows as usize, guest.keep(batch)?);
                let mask = reply::mask("keep", &kept.keep, rows);
                Ok(mask.and_then(|()| Ok((kept.keep, rejected(setup, kept.faults, rows)?))))
            },
        };
        let (mut keep, mut faults) = (Vec::new(), Vec::new());
        self.drive(&work, |range, outcome| {
            let (mut some, rejected) = parted(&range, outcome, || vec![0]);
            rejected.iter().for_each(|fault| some[fault.row as usize - range.start] = 0);
            faults.extend(rejected);
            if keep.is_empty() { keep = some } else { keep.extend_from_slice(&some) }
        })
        .map_err(|halted| taken.halted(halted))?;
        // Added up as bytes, of which 255 ones fit: many at a time.
        let kept = keep.chunks(255).map(|some| usize::from(some.iter().sum::<u8>())).sum();
        self.count(kept, &faults);
        Ok(Kept { keep: taken.spread(keep, 0), faults: taken.faults(faults) })
    }

    /// Detect: what is unusual.
    pub fn score(&mut self, input: Input<'_>) -> Result<Found, Halted> {
        let taken = self.take(input);
        let work = Rows { job: taken.job(&self.setup), call: score };
        let (mut findings, mut scores, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        self.drive(&work, |range, outcome| {
            let ((found, some), rejected) = parted(&range, outcome, || (Vec::new(), None));
            let begin = range.start as u32;
            findings.extend(found.into_iter().map(|f| Finding { row: f.row + begin, ..f }));
            if let Some(some) = some {
                scores.resize(range.start, f64::NAN);
                scores.extend(some);
            }
            faults.extend(rejected);
        })
        .map_err(|halted| taken.halted(halted))?;
        self.count(findings.len(), &faults);
        if !scores.is_empty() {
            scores.resize(taken.batch.rows(), f64::NAN);
            faults.iter().for_each(|fault| scores[fault.row as usize] = f64::NAN);
        }
        findings.iter_mut().for_each(|finding| finding.row = taken.row(finding.row));
        let scores = (!scores.is_empty()).then(|| taken.spread(scores, f64::NAN));
        Ok(Found { findings, scores, faults: taken.faults(faults) })
    }

    /// Transform and codec: the rows made of these.
    pub fn apply(&mut self, input: Input<'_>) -> Result<Table, Halted> {
        let taken = self.take(input);
        let budget = Budget::new(&self.setup.limits);
        let work = Rows {
            job: taken.job(&self.setup),
            call: |guest: &mut Guest, setup: &Setup, batch: BatchIn<'_>| {
                let made = apply(guest, setup, batch)?;
                if let Ok(((origin, columns), _)) = &made {
                    budget.take(setup, origin.len(), columns)?;
                }
                Ok(made)
            },
        };
        let mut columns: Vec<Column> = self.plan().emits.iter().map(|f| Column::empty(f.scalar)).collect();
        let (mut origin, mut faults) = (Vec::new(), Vec::new());
        self.drive(&work, |range, outcome| {
            let ((from, made), rejected) = parted(&range, outcome, Default::default);
            origin.extend(from.into_iter().map(|row| row + range.start as u32));
            columns.iter_mut().zip(&made).for_each(|(all, some)| all.extend(some));
            faults.extend(rejected);
        })
        .map_err(|halted| taken.halted(halted))?;
        self.count(origin.len(), &faults);
        origin.iter_mut().for_each(|row| *row = taken.row(*row));
        Ok(Table { origin, columns, faults: taken.faults(faults) })
    }

    /// Aggregate: adds rows to their slots. Gives the rows at fault, which were not added.
    pub fn update(&mut self, input: Input<'_>) -> Result<Vec<RowFault>, Halted> {
        let taken = self.take(input);
        let work = Rows {
            job: taken.job(&self.setup),
            call: |guest: &mut Guest, setup: &Setup, batch: BatchIn<'_>| {
                let rows = batch.rows as usize;
                Ok(rejected(setup, guest.update(batch)?, rows).map(|faults| ((), faults)))
            },
        };
        let mut faults = Vec::new();
        self.drive(&work, |range, outcome| faults.extend(parted(&range, outcome, || ()).1))
            .map_err(|halted| taken.halted(halted))?;
        self.count(0, &faults);
        Ok(taken.faults(faults))
    }

    /// The rows of the input that are not to be skipped.
    fn take<'a>(&self, input: Input<'a>) -> Taken<'a> {
        let rows = input.batch.rows();
        let slots = self.plan().slots.then(|| input.slots.unwrap_or(&[]));
        assert!(slots.is_none_or(|slots| slots.len() == rows), "the plan asks for a slot a row");
        let (mut batch, mut slots, mut origin) = (Cow::Borrowed(input.batch), slots.map(Cow::Borrowed), None);
        if !input.skip.is_empty() {
            let taken: Vec<u32> = (0..rows as u32).filter(|row| input.skip.binary_search(row).is_err()).collect();
            batch = Cow::Owned(input.batch.take(&taken));
            slots = slots.map(|slots| taken.iter().map(|&row| slots[row as usize]).collect());
            origin = Some(taken);
        }
        Taken { devices: job::devices(&self.setup, &batch), batch, slots, origin, rows }
    }

    fn count(&self, made: usize, faults: &[RowFault]) {
        let rejected = faults.iter().filter(|f| f.fault.kind == crate::FaultKind::Rejected).count();
        self.meters.made(made, rejected);
    }
}

impl Taken<'_> {
    fn job(&self, setup: &Setup) -> Job<'_> {
        Job::new(setup, &self.batch, self.devices.as_ref(), self.slots.as_deref())
    }

    fn row(&self, row: u32) -> u32 {
        self.origin.as_ref().map_or(row, |origin| origin[row as usize])
    }

    fn halted(&self, halted: Halted) -> Halted {
        Halted { row: halted.row.map(|row| self.row(row)), ..halted }
    }

    fn faults(&self, mut faults: Vec<RowFault>) -> Vec<RowFault> {
        faults.iter_mut().for_each(|fault| fault.row = self.row(fault.row));
        faults
    }

    /// A value a row of the input, `absent` for skipped rows.
    fn spread<T: Copy>(&self, values: Vec<T>, absent: T) -> Vec<T> {
        let Some(origin) = &self.origin else { return values };
        let mut all = vec![absent; self.rows];
        origin.iter().zip(values).for_each(|(&row, value)| all[row as usize] = value);
        all
    }
}

/// What a call gave and the rows it rejected; of a faulted row `nothing` and its fault. Rows count from the job's first.
fn parted<T>(
    range: &Range<usize>,
    outcome: Result<(T, Vec<RowFault>), Fault>,
    nothing: impl FnOnce() -> T,
) -> (T, Vec<RowFault>) {
    let begin = range.start as u32;
    match outcome {
        Ok((out, mut rejected)) => {
            rejected.iter_mut().for_each(|fault| fault.row += begin);
            (out, rejected)
        }
        Err(fault) => (nothing(), vec![RowFault { row: begin, fault }]),
    }
}

fn rejected(setup: &Setup, faults: Vec<crate::wire::RowFault>, rows: usize) -> Checked<Vec<RowFault>> {
    reply::rejected(&setup.plugin.label, faults, rows)
}

type Scored = ((Vec<Finding>, Option<Vec<f64>>), Vec<RowFault>);

fn score(guest: &mut Guest, setup: &Setup, batch: BatchIn<'_>) -> Result<Checked<Scored>, Fault> {
    let (rows, found) = (batch.rows as usize, guest.score(batch)?);
    Ok(check_scored(setup, found, rows))
}

fn check_scored(setup: &Setup, found: crate::wire::FoundOut, rows: usize) -> Checked<Scored> {
    let faults = rejected(setup, found.faults, rows)?;
    if found.findings.len() > rows {
        return Err(format!("{} findings for {rows} rows", found.findings.len()));
    }
    let mut findings = Vec::with_capacity(found.findings.len());
    for finding in found.findings {
        if finding.row as usize >= rows {
            return Err(format!("a finding names row {} of {rows}", finding.row));
        }
        if finding.severity > 100 {
            return Err(format!("a finding has severity {}, more than 100", finding.severity));
        }
        if faults.binary_search_by_key(&finding.row, |fault| fault.row).is_err() {
            let (score, reason) = (canonical(finding.score), fault::bounded(finding.reason));
            findings.push(Finding { row: finding.row, score, severity: finding.severity, reason });
        }
    }
    findings.sort_by_key(|finding| finding.row);
    let scores = found.scores.map(|scores| scores.into_iter().map(canonical).collect::<Vec<_>>());
    match &scores {
        Some(scores) if scores.len() != rows => Err(format!("{} scores for {rows} rows", scores.len())),
        _ => Ok(((findings, scores), faults)),
    }
}

fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

type Applied = ((Vec<u32>, Vec<Column>), Vec<RowFault>);

fn apply(guest: &mut Guest, setup: &Setup, batch: BatchIn<'_>) -> Result<Checked<Applied>, Fault> {
    let (rows, table) = (batch.rows as usize, guest.apply(batch)?);
    let (made, max) = (table.origin.as_ref().map_or(rows, Vec::len), setup.limits.output_records);
    if made > max {
        let message = format!("made {made} records, more than output_records ({max}) allows");
        return Err(setup.too_much(Bound::Records, &message));
    }
    Ok((|| {
        let faults = rejected(setup, table.faults, rows)?;
        let origin = reply::origin(table.origin, rows)?;
        let columns = reply::columns(table.columns, &setup.plan.emits, origin.len())?;
        Ok((without(origin, columns, &faults), faults))
    })())
}

/// What a faulted row made is left out.
fn without(origin: Vec<u32>, columns: Vec<Column>, faults: &[RowFault]) -> (Vec<u32>, Vec<Column>) {
    let is_good = |row: u32| faults.binary_search_by_key(&row, |fault| fault.row).is_err();
    if faults.is_empty() || origin.iter().all(|&row| is_good(row)) {
        return (origin, columns);
    }
    let good: Vec<u32> = (0..origin.len() as u32).filter(|&made| is_good(origin[made as usize])).collect();
    let columns = columns.iter().map(|column| column.take(&good)).collect();
    (good.iter().map(|&made| origin[made as usize]).collect(), columns)
}
