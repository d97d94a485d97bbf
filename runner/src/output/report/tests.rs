use serde_json::json;

use super::*;
use crate::config::fixture::Fixture;
use crate::config::{Request, resolve};

fn config() -> Resolved {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("configs")).unwrap();
    let text =
        "[data]\nname = 'mnist'\n[criterion]\nname = 'magnitude'\n[model]\nname='mlp'\n[schedule]\nname='periodic'";
    std::fs::write(folder.path().join("configs/base.toml"), text.split("[model]").next().unwrap()).unwrap();
    let sets = vec!["train.lr=0.05".to_owned(), "data.dir=\"<script>alert(1)</script>\"".to_owned()];
    let request = Request { root: folder.path().to_owned(), sets, ..Request::default() };
    resolve(&request, &Fixture).unwrap()
}

fn summary() -> Map<String, Value> {
    let summary = json!({
        "status": "finished", "test_accuracy": 0.921, "sparsity": 0.66, "unit_sparsity": 0.7125, "params_dense": 41000,
        "params_kept": 11960, "macs_dense": 41000, "macs_kept": 11960, "seconds_train": 12.4, "seconds_prune": 0.04,
        "seconds_eval": 1.1, "peak_memory_bytes": 412_000_000u64, "seed": 0
    });
    summary.as_object().unwrap().clone()
}

/// A run of 100 epochs with ten pruning steps, the shape of `mnist-rank`.
fn events() -> String {
    let (mut lines, mut units) = (Vec::new(), [50u64, 30]);
    let line = |lines: &mut Vec<String>, value: Value| lines.push(value.to_string());
    line(
        &mut lines,
        json!({"event": "start", "step": 0, "name": "r", "steps": 1100, "steps_per_epoch": 11, "examples": 54000,
        "params": 41000, "layers": [{"name": "fc1", "units": 50}, {"name": "fc2", "units": 30}]}),
    );
    line(
        &mut lines,
        json!({"event": "note", "step": 0, "keys": ["train.eps"], "text": "train.eps = <i>1</i> does nothing here."}),
    );
    let mut dip = 0.0;
    for epoch in 0..100u64 {
        let step = epoch * 11 + 10;
        let best = 0.965 - 0.85 * (-(epoch as f64 + 1.0) / 4.0).exp() - 0.0005 * (50 - units[0]) as f64;
        dip *= 0.55;
        let accuracy = best - dip;
        line(
            &mut lines,
            json!({"event": "epoch", "step": step, "epoch": epoch, "loss": 3.0 * (1.0 - accuracy), "accuracy": accuracy, "sparsity": 0.0, "seconds": 0.1}),
        );
        let eval = |accuracy: f64| json!({"event": "eval", "step": step, "epoch": epoch, "split": "validation", "loss": 3.2 * (1.0 - accuracy), "accuracy": accuracy, "at": "epoch"});
        line(&mut lines, eval(accuracy - 0.006));
        if epoch >= 30 && (epoch - 30).is_multiple_of(7) {
            units = units.map(|n| n * 9 / 10);
            let achieved = 1.0 - (units[0] + units[1]) as f64 / 80.0;
            dip += 0.02 + 0.1 * achieved;
            let kept = units[0] * 784 + units[1] * units[0] + units[1] * 10;
            line(
                &mut lines,
                json!({"event": "prune", "step": step, "epoch": epoch, "target": achieved, "achieved": achieved,
                "units": {"fc1": units[0], "fc2": units[1]}, "weights_kept": kept, "weights_total": 41000, "left": 8, "returned": 0, "seconds": 0.0031}),
            );
            line(&mut lines, eval(best - dip - 0.006));
        }
    }
    line(
        &mut lines,
        json!({"event": "eval", "step": 1099, "epoch": 99, "split": "test", "loss": 0.27, "accuracy": 0.921, "at": "end"}),
    );
    line(&mut lines, json!({"event": "finish", "step": 1100, "figures": {}}));
    lines.join("\n")
}

#[test]
fn the_page_fetches_nothing_and_escapes_what_it_shows() {
    let page = render(&config(), events().lines(), &summary(), &|_| None);
    for fetch in ["http:", "https:", "src=", "href=", "url(http", "@import", "<link", "fetch("] {
        assert!(!page.contains(fetch), "{fetch}");
    }
    assert_eq!(page.matches("<script").count(), 1, "the one that reads charts");
    assert!(page.contains("&lt;script&gt;"));
    assert!(!page.contains("NaN"));
}

#[test]
fn metrics_steps_and_origins_are_on_the_page() {
    let page = render(&config(), events().lines(), &summary(), &|_| None);
    for shown in [
        "92.1 %",
        "71.2 %",
        "12.0 k",
        "of 41.0 k parameters remaining",
        "fc1",
        "<li>train.eps = &lt;i&gt;1&lt;/i&gt; does nothing here.</li>",
        "<td>train.lr</td><td>0.05</td><td>--set</td>",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(page.contains("<th>validation accuracy before</th>"), "which data it was measured on");
    assert_eq!(page.matches("points</td>").count(), 10, "one row for each pruning step");
}

#[test]
fn a_run_that_failed_at_once_still_has_a_report() {
    let failed = json!({"status": "failed", "error": "loss is NaN at step 3"});
    let page = render(&config(), "".lines(), failed.as_object().unwrap(), &|_| None);
    assert!(page.contains("loss is NaN at step 3") && page.contains("Nothing was pruned."));
}

#[test]
fn a_report_is_titled_by_what_varies_and_a_control_says_whose_it_is() {
    let of = |part: Value| {
        let mut summary = summary();
        summary.extend(part.as_object().unwrap().clone());
        render(&config(), events().lines(), &summary, &|_| None)
    };
    let alone = of(json!({}));
    let name = config().name().to_owned();
    assert!(
        alone.contains(&format!("<title>{name} – Secateur</title>")) && alone.contains(&format!("<h1>{name}</h1>"))
    );
    let cell = of(json!({"sweep": "s", "cell": "criterion=magnitude seed=3"}));
    assert!(cell.contains(&format!("<h1>{name}: criterion=magnitude seed=3</h1>")));
    let control = json!({"cell": "criterion=magnitude seed=3", "control": "random", "control_of": "s-0123"});
    let control = of(control);
    assert!(
        control.contains(&format!("<title>{name}: control random of criterion=magnitude seed=3 – Secateur</title>"))
    );
    assert!(control.contains("A control of the run in s-0123"));
}

#[test]
fn a_page_about_a_very_long_run_is_no_larger_than_one_about_a_long_run() {
    let layer =
        r#"{"name":"fc1.weight","gradient":0.5,"gradient_mean":0.1,"weight":1.0,"kept":30,"pruned":1,"regrown":1}"#;
    let lines = |epochs: u64| {
        (0..epochs).flat_map(move |epoch| {
            [
                format!(r#"{{"event":"epoch","step":{epoch},"epoch":{epoch},"loss":1.0,"accuracy":0.5,"sparsity":0,"seconds":1}}"#),
                format!(r#"{{"event":"burden","step":{epoch},"epoch":{epoch},"layers":[{layer}]}}"#),
                format!(
                    r#"{{"event":"prune","step":{epoch},"epoch":{epoch},"target":0.1,"achieved":0.1,"units":{{}},"weights_kept":3,"weights_total":4,"pruned":1,"regrown":1,"seconds":0.1}}"#
                ),
            ]
        })
    };
    let size = |epochs| render(&config(), lines(epochs), &summary(), &|_| None).len();
    let (long, longer) = (size(3_000), size(40_000));
    assert!(longer < long * 2 && longer < 2_000_000, "{long} {longer}");
    let page = render(&config(), lines(3_000), &summary(), &|_| None);
    assert!(page.contains("There were 3,000 pruning steps"), "what is left out is said");
}

#[test]
fn a_reader_bears_logs_that_nobody_wrote() {
    let (config, summary, log) = (config(), summary(), events());
    // One of each kind, and as many as a page can be drawn of in no time.
    let log: Vec<&str> = log.lines().take(6).chain(log.lines().skip(60).take(4)).collect();
    secateur_fuzz::bears_part(5, "history", &[log.join("\n").into_bytes()], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let page = render(&config, text.lines().map(str::to_owned), &summary, &|_| None);
        assert!(!page.contains("<script>alert"));
        crate::output::validated(text.lines().map(str::to_owned));
        page.len()
    });
}
