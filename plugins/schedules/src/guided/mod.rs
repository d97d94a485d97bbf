//! Schedules that go by what is measured while the run goes on.

mod burden_guided;
