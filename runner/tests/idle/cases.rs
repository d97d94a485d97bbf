//! Settings that cannot act: the key, what is set, and what is told.
//!
//! Longer than 300 lines because it is one table.

/// What a config is expected to be told.
pub enum Told {
    /// One note that begins with the key, or names it, and has this text.
    Note(&'static str),
    /// It is refused under the key, for this reason.
    Refused(&'static str),
}
use Told::{Note, Refused};

/// The key, what is set, and what is told.
pub type Case = (&'static str, &'static [&'static str], Told);

const UNITS: &str = "prune={granularity=\"unit\",apply=\"shrink\"}";
const VIT: &str = "model={name=\"vit\",depth=1,dim=8,heads=1,patch=14}";
pub const VAE: &str = "model={name=\"vae\",channels=[2],hidden=[4],latent=2}";
pub const MERGING: &str = "compressor.name=token-merging";

/// Conditions within a section.
const TRAIN: &[Case] = &[
    (
        "train.momentum",
        &["train.momentum=0.9", "train.optimizer=adam"],
        Note("acts with train.optimizer = \"sgd\", and train.optimizer is \"adam\""),
    ),
    (
        "train.nesterov",
        &["train={momentum=0.9,nesterov=true,optimizer=\"adam\"}"],
        Note("acts with train.optimizer = \"sgd\""),
    ),
    ("train.nesterov", &["train.nesterov=true"], Refused("needs `momentum` above 0")),
    (
        "train.beta1",
        &["train.beta1=0.8"],
        Note("acts with train.optimizer = \"adam\" or \"adamw\", and train.optimizer is \"sgd\""),
    ),
    ("train.beta2", &["train.beta2=0.8"], Note("train.optimizer is \"sgd\"")),
    ("train.eps", &["train.eps=1e-6"], Note("train.optimizer is \"sgd\"")),
    (
        "train.lr_min",
        &["train.lr_min=0.001"],
        Note("acts with train.lr_schedule = \"cosine\", and train.lr_schedule is \"constant\""),
    ),
    ("train.lr_step", &["train.lr_step=2"], Note("train.lr_schedule is \"constant\"")),
    ("train.lr_gamma", &["train.lr_gamma=0.5"], Note("train.lr_schedule is \"constant\"")),
    (
        "train.lr_schedule",
        &["train.lr_schedule=step"],
        Note("its first step comes after 30 epochs, and train.epochs is 4"),
    ),
    ("train.lr_schedule", &["train={lr_schedule=\"step\",lr_step=1,lr_gamma=1}"], Note("train.lr_gamma is 1")),
    (
        "train.lr_schedule",
        &["train={lr_schedule=\"cosine\",lr_min=0.01}"],
        Note("train.lr_min is 0.01, and so is train.lr"),
    ),
    ("train.lr_warmup", &["train.lr_warmup=4"], Note("takes all of the run's 4 epochs")),
    ("train.batch_size", &["train.batch_size=300"], Note("more than the 200 training examples")),
    (
        "train.label_smoothing",
        &[VAE, "data.normalize=unit", "train.label_smoothing=0.1"],
        Note("the model has a loss of its own"),
    ),
    (
        "train.label_smoothing",
        &[
            "data={name=\"cubist-spiral\",cubist-spiral={per_class=1000}}",
            "train={loss=\"binary\",label_smoothing=0.1,epochs=3}",
        ],
        Note("acts with train.loss = \"cross-entropy\", and train.loss is \"binary\""),
    ),
    (
        "train.stop_loss",
        &["train.stop_loss=0.1", "schedule.first=3"],
        Note("no epoch before the last one comes after all pruning steps"),
    ),
    ("train.stop_flat", &["train={stop_flat=2,epochs=1}", "schedule.name=never"], Note("no epoch before the last one")),
    ("train.stop_flat", &["train={stop_flat=2,epochs=3}", "schedule.name=never"], Note("no epoch before the last one")),
    (
        "train.eval_train",
        &[VAE, "data.normalize=unit", "train.eval_train=true"],
        Note("the model has a loss of its own"),
    ),
    (
        "train.eval_activations",
        &["train.eval_activations=20", "model.activation=none"],
        Note("no layer before the last one has an activation"),
    ),
    (
        "train.loss",
        &["train.loss=squared-error"],
        Refused("needs real-valued targets or two classes, but the data has 10"),
    ),
    (
        "train.loss",
        &["data={name=\"teacher-student\",normalize=\"none\"}"],
        Refused("needs classes, but the data has real-valued targets: use \"squared-error\""),
    ),
    ("train.fresh_optimizer", &["train.fresh_optimizer=true"], Note("train.optimizer is \"sgd\", train.momentum is 0")),
    (
        "train.fresh_optimizer",
        &["train={fresh_optimizer=true,momentum=0.9}", "schedule.name=never"],
        Note("the schedule prunes at no step of this run"),
    ),
    (
        "train.eval_prunes",
        &["train.eval_prunes=3", "schedule.name=never"],
        Note("the schedule prunes at no step of this run"),
    ),
    (
        "train.sparse",
        &["train.sparse=always", "schedule.name=never"],
        Note("train.sparse = \"always\" does nothing here: the schedule prunes at no step"),
    ),
    ("train.sparse", &["train.sparse=always", UNITS], Note("units are cut out, and leave no masks")),
    ("train.sparse", &["train.sparse=always", "prune.regrow=true"], Refused("set \"auto\" or \"off\"")),
];

/// Growth, in which a masked weight may return.
const GROW: &[Case] = &[
    (
        "grow.fraction",
        &["grow.fraction=0.3", "schedule.name=never"],
        Note("grow.fraction = 0.3 does nothing here: the schedule prunes at no step"),
    ),
    (
        "grow.fraction",
        &["grow.fraction=0.3", "schedule={name=\"one-shot\",at=0.9}"],
        Note("no pruning step comes between the first update and grow.until = 0.75"),
    ),
    ("grow.fraction", &[UNITS, "grow.fraction=0.3"], Refused("prune.granularity is another than \"weight\"")),
    ("grow.fraction", &["grow.fraction=0.3", "prune.regrow=true"], Refused("set prune.regrow = false")),
    ("grow.decay", &["grow.decay=linear"], Note("acts with grow.fraction above 0, and grow.fraction is 0")),
    ("grow.until", &["grow.until=0.5"], Note("acts with grow.fraction above 0")),
    (
        "grow.until",
        &["grow={fraction=0.3,until=0.3}", "schedule={name=\"constant\",every=1}"],
        Note("they come when no weights grow any more"),
    ),
    ("grow.criterion", &["grow.criterion.name=random-redrawn"], Note("acts with grow.fraction above 0")),
    (
        "grow.criterion.norm",
        &["grow={fraction=0.3,criterion={name=\"magnitude\",norm=\"l2\"}}"],
        Note("acts with prune.granularity = \"unit\""),
    ),
    ("grow.start", &["grow.start.name=random"], Note("acts with grow.fraction above 0")),
    (
        "grow.start",
        &["grow={fraction=0.3,start={name=\"random\"}}"],
        Note("the schedule does not prune before the first update"),
    ),
];

const PRUNE: &[Case] = &[
    (
        "prune.granularity",
        &["prune.granularity=unit", "schedule.name=never"],
        Note("the schedule prunes at no step of this run"),
    ),
    ("prune.apply", &[UNITS, "schedule.name=never"], Note("prune.apply = \"shrink\"")),
    ("prune.regrow", &["prune.regrow=true", "schedule.name=never"], Note("prune.regrow = true does nothing")),
    ("prune.scope", &["prune.scope=layer", "criterion.threshold=0.5"], Note("nor does prune.scope = \"layer\"")),
    (
        "prune.table",
        &["prune.table.\"fc1.weight\"=0.5"],
        Note("acts with prune.scope = \"table\", and prune.scope is \"global\""),
    ),
    (
        "prune.table",
        &["prune={scope=\"table\",table={\"fc1.weight\"=0.5},exempt=[\"fc1.weight\"]}"],
        Refused("is listed in prune.exempt too"),
    ),
    (
        "prune.table",
        &["prune={scope=\"table\",table={\"fc1.weight\"=0.5,\"fc2.weight\"=0.5}}"],
        Refused("set prune.include_output = true"),
    ),
    ("prune.counts", &["prune.counts.\"fc1.weight\"=[9]"], Note("acts with prune.scope = \"counts\"")),
    (
        "prune.counts",
        &["prune={scope=\"counts\",counts={\"fc1.weight\"=[5000]}}"],
        Refused("more than the 4704 that are there"),
    ),
    ("prune.start", &["prune.start.fc1=6"], Note("the model has that many units without it")),
    ("prune.start_params", &["prune.start_params=1000000"], Note("the model has 4780 parameters without it")),
    ("prune.start_params", &["prune={start={fc1=3},start_params=1000}"], Refused("stands beside prune.start")),
    (
        "prune.reduce",
        &["prune.reduce=l2"],
        Note("acts with prune.granularity = \"unit\" or \"block\", and prune.granularity is \"weight\""),
    ),
    (
        "prune.reduce",
        &[UNITS, "prune.reduce=l2", "criterion.name=random"],
        Note("the criterion scores units, not weights"),
    ),
    ("prune.normalize", &["prune={normalize=\"mean\",scope=\"layer\"}"], Note("acts with prune.scope = \"global\"")),
    (
        "prune.normalize",
        &["prune.normalize=mean", "criterion.threshold=0.5"],
        Note("nor does prune.normalize = \"mean\""),
    ),
    (
        "prune.on_empty_layer",
        &[UNITS, "prune.on_empty_layer=stop"],
        Note("acts with prune.granularity = \"weight\" or \"block\", since of units one of each group stays"),
    ),
    (
        "prune.on_empty_layer",
        &["prune.on_empty_layer=stop", "schedule.name=never"],
        Note("prune.on_empty_layer = \"stop\" does nothing here"),
    ),
    (
        "prune.disconnected",
        &[UNITS, "prune.disconnected=all"],
        Note("acts with prune.granularity = \"weight\", and prune.granularity is \"unit\""),
    ),
    (
        "prune.disconnected",
        &["prune.disconnected=unread", "schedule.name=never"],
        Note("prune.disconnected = \"unread\" does nothing here"),
    ),
    (
        "prune.regrow",
        &["prune.regrow=true", "schedule.name=one-shot"],
        Note("only one pruning step, so that nothing can return"),
    ),
    ("prune.regrow", &["prune={regrow=true,regrow_from=\"zero\"}"], Note("Nothing came back in 2 pruning steps")),
    (
        "prune.regrow_from",
        &["prune.regrow_from=zero"],
        Note("acts with prune.regrow = true, and prune.regrow is false"),
    ),
    (
        "prune.regrow_from",
        &["prune={granularity=\"unit\",regrow=true,regrow_from=\"zero\"}"],
        Note("acts with another prune.granularity than \"unit\""),
    ),
    (
        "prune.output_rate",
        &["prune={output_rate=0.5,scope=\"layer\"}"],
        Note("acts with prune.include_output = true, and prune.include_output is false"),
    ),
    (
        "prune.output_rate",
        &["prune={output_rate=0.5,include_output=true}"],
        Note("acts with prune.scope = \"layer\", and prune.scope is \"global\""),
    ),
    (
        "prune.exempt",
        &["prune.exempt=[\"fc2.weight\"]"],
        Note("acts with names that would be pruned otherwise: fc1.weight"),
    ),
    (
        "prune.include_output",
        &[UNITS, "prune.include_output=true"],
        Note("acts with another prune.granularity than \"unit\""),
    ),
    (
        "prune.include_output",
        &["prune={include_output=true,scope=\"table\",table={\"fc1.weight\"=0.5}}"],
        Note("in prune.table"),
    ),
    (
        "prune.rounding",
        &["prune={rounding=\"nearest\",scope=\"counts\",counts={\"fc1.weight\"=[9]}}"],
        Note("acts with another prune.scope than \"counts\""),
    ),
    (
        "prune.rounding",
        &["prune.rounding=nearest", "criterion.threshold=0.5"],
        Note("nor does prune.rounding = \"nearest\""),
    ),
    (
        "prune.rounding",
        &["prune={rounding=\"nearest\",target=\"params\"}"],
        Note("acts with prune.target = \"sparsity\""),
    ),
    ("prune.block", &["prune.block=[2,2]"], Note("acts with prune.granularity = \"block\"")),
    (
        "prune.granularity",
        &["prune.granularity=\"2:4\"", "schedule.fraction=0.2"],
        Note("makes a sparsity of 0.5000 at every pruning step"),
    ),
    (
        "prune.scope",
        &["prune={granularity=\"2:4\",scope=\"layer\"}"],
        Note("acts with another prune.granularity than n:m, which takes the same of every layer"),
    ),
    (
        "prune.max_sparsity",
        &["prune={max_sparsity=0.5,scope=\"table\",table={\"*\"=0.5}}"],
        Note("acts with prune.scope = \"global\", \"layer\" or \"erk\", and prune.scope is \"table\""),
    ),
    (
        "prune.max_sparsity",
        &["prune.max_sparsity={\"fc1.weight\"=0.6,\"fc2*\"=0.5}"],
        Note("prune.max_sparsity.\"fc2*\" = 0.5 does nothing here"),
    ),
    ("prune.max_sparsity", &["prune.max_sparsity=0.01"], Refused("allow at most 0.0100")),
    (
        "prune.max_sparsity",
        &["prune.max_sparsity={\"conv*\"=0.5}"],
        Refused("fits no parameter; there are: fc1.weight"),
    ),
    (
        "prune.min_sparsity",
        &["prune={min_sparsity=0.5,scope=\"table\",table={\"*\"=0.5}}"],
        Note("acts with prune.scope = \"global\""),
    ),
    (
        "prune.min_sparsity",
        &["prune={min_sparsity=0.5,max_sparsity=0.4}"],
        Refused("must be at most prune.max_sparsity"),
    ),
    (
        "prune.multiple",
        &["prune={multiple=8,scope=\"counts\",counts={\"fc1.weight\"=[9]}}"],
        Note("acts with another prune.scope than \"counts\""),
    ),
    (
        "prune.target",
        &["prune={target=\"macs\",scope=\"table\",table={\"*\"=0.5}}"],
        Note("acts with prune.scope = \"global\", \"layer\" or \"erk\""),
    ),
    ("prune.target", &["prune.target=bytes"], Refused("needs a saved model that gets smaller")),
    ("prune.target", &["prune={granularity=\"2:4\",target=\"macs\"}"], Refused("n:m makes a sparsity of its own")),
    ("prune.target", &["prune.target=milliseconds"], Refused("no time is gained by them")),
    ("prune.latency_batch", &["prune.latency_batch=8"], Note("acts with prune.target = \"milliseconds\"")),
    (
        "prune.latency_batch",
        &["prune={granularity=\"unit\",target=\"milliseconds\",scope=\"table\",table={fc1=0.5},latency_batch=8}"],
        Note("acts with prune.scope = \"global\", \"layer\" or \"erk\""),
    ),
    (
        "prune.latency_batch",
        &["prune={granularity=\"unit\",target=\"milliseconds\",latency_batch=100000}"],
        Refused("training examples: lower it, or raise data.train_limit"),
    ),
    ("prune.latency_table", &["prune.latency_table=\"t.json\""], Note("acts with prune.target = \"milliseconds\"")),
    (
        "prune.latency_table",
        &["prune={granularity=\"unit\",target=\"milliseconds\",latency_table=\"nowhere.json\"}"],
        Refused("cannot be read"),
    ),
    ("prune.exempt", &["prune.exempt=[\"conv*\"]"], Refused("fits no parameter")),
    (
        "prune.table",
        &["prune={scope=\"table\",table={\"*\"=0.4,\"fc*\"=0.5}}"],
        Note("prune.table.\"*\" = 0.4 does nothing here"),
    ),
    ("prune.rounds", &["prune.rounds=3"], Note("the criterion asks the network nothing between two rounds")),
    (
        "prune.rounds",
        &["prune={rounds=3,scope=\"counts\",counts={\"fc1.weight\"=[9]}}"],
        Note("acts with another prune.scope than \"counts\""),
    ),
];

const OTHERS: &[Case] = &[
    (
        "criterion.norm",
        &["criterion.norm=l2"],
        Note("acts with prune.granularity = \"unit\" or \"block\", since both norms order single weights alike"),
    ),
    (
        "criterion.norm",
        &["criterion={norm=\"l2\",threshold=0.5}"],
        Note("acts with no criterion.threshold, and criterion.threshold is 0.5"),
    ),
    (
        "criterion.norm",
        &[UNITS, "criterion.norm=l2", "prune.reduce=l1"],
        Note("acts with no prune.reduce, which stands above it"),
    ),
    (
        "schedule.renew",
        &["schedule={name=\"cubic\",renew=true}"],
        Note("acts with prune.regrow = true or grow.fraction above 0"),
    ),
    (
        "criterion.within",
        &[UNITS, "criterion={name=\"wanda\",within=\"layer\"}"],
        Note("acts with prune.granularity = \"weight\", and prune.granularity is \"unit\""),
    ),
    (
        "criterion.restore_above",
        &["criterion={name=\"surgery\",restore_above=1.5}"],
        Note("acts with prune.regrow = true, and prune.regrow is false"),
    ),
    ("criterion.power", &["criterion={name=\"surgery\",power=2}"], Note("acts with criterion.gamma above 0")),
    (
        "schedule.initial",
        &["schedule={name=\"soft-filter\",initial=0.1}", "prune.regrow=true"],
        Note("acts with schedule.rate = \"asymptotic\", and schedule.rate is \"constant\""),
    ),
    (
        "schedule.rewind_unit",
        &["schedule={name=\"lottery\",epochs_per_round=1,rewind_unit=\"epochs\"}"],
        Note("acts with schedule.rewind_to above 0, and schedule.rewind_to is 0"),
    ),
    (
        "prune.regrow",
        &["schedule={name=\"ac-dc\",warmup=1,phase=1,last_dense=1,last_compressed=1}"],
        Refused("nothing returns: set prune.regrow = true"),
    ),
    (
        "prune.scope",
        &["schedule={name=\"burden-guided\",every=1}", "prune={scope=\"table\",table={\"fc1.weight\"=0.5}}"],
        Refused("with a schedule that goes by what is measured"),
    ),
    ("schedule.first", &["schedule={name=\"periodic\",first=50}"], Refused("must lie below train.epochs")),
    (
        "schedule.name",
        &["criterion.threshold=0.5"],
        Note("The criterion decides itself which weights go: the schedule says only when"),
    ),
    (
        "criterion.eps",
        &[UNITS, "criterion={name=\"contribution-rank\",eps=0.01}"],
        Note("acts with criterion.form = \"signed\""),
    ),
    (
        "criterion.of.eps",
        &[UNITS, "criterion={name=\"worst\",of={name=\"contribution-rank\",eps=0.01}}"],
        Note("acts with criterion.of.form = \"signed\""),
    ),
    (
        "criterion.window",
        &[UNITS, "criterion={name=\"contribution-rank\",window=\"since-prune\",compat=\"authors\"}"],
        Note("acts with criterion.compat = \"none\""),
    ),
    (
        "criterion.lambda1",
        &[UNITS, "criterion={name=\"contribution-rank\",lambda1=0.5}"],
        Note("acts with criterion.lambda2 other than 0"),
    ),
    (
        "criterion.form",
        &[UNITS, "criterion={name=\"taylor\",of=\"feature-maps\",form=\"square\"}"],
        Note("acts with criterion.of = \"weights\", and criterion.of is \"feature-maps\""),
    ),
    (
        "criterion.together",
        &[UNITS, "criterion={name=\"taylor\",of=\"feature-maps\",together=\"joint\"}"],
        Note("acts with criterion.of = \"weights\", and criterion.of is \"feature-maps\""),
    ),
    (
        "criterion.flops",
        &[UNITS, "criterion={name=\"taylor\",flops=0.001}"],
        Note("acts with criterion.of = \"feature-maps\", and criterion.of is \"weights\""),
    ),
    (
        "criterion.flops",
        &[UNITS, "prune.scope=layer", "criterion={name=\"taylor\",of=\"feature-maps\",flops=0.001}"],
        Note("acts with prune.scope = \"global\", since the units of a layer cost the same"),
    ),
    (
        "criterion.examples",
        &["criterion={name=\"obd\",fisher=\"batches\",examples=9}"],
        Note("acts with criterion.fisher = \"examples\", and criterion.fisher is \"batches\""),
    ),
    (
        "criterion.window",
        &["criterion={name=\"obd\",window=\"since-prune\"}"],
        Note("acts with criterion.fisher = \"batches\", and criterion.fisher is \"examples\""),
    ),
    (
        "criterion.alpha",
        &[UNITS, "criterion={name=\"lrp\",alpha=3.0}"],
        Note("acts with criterion.rule = \"alpha-beta\""),
    ),
    (
        "criterion.beta",
        &[UNITS, "criterion={name=\"lrp\",beta=0.5}"],
        Note("acts with criterion.rule = \"alpha-beta\""),
    ),
    ("compressor.name", &[MERGING], Note("the model has no stage at which it would be asked")),
    ("compressor.name", &[VIT, MERGING, "compressor.ratio=0"], Note("it merges no token")),
    (
        "compressor.ratio",
        &[VIT, "compressor={name=\"token-merging\",at=\"blocks\",r=1,ratio=0.5}"],
        Note("acts with compressor.at = \"before-encoder\""),
    ),
    (
        "compressor.reading",
        &[VIT, "compressor={name=\"token-merging\",at=\"blocks\",r=1,reading=\"kept\"}"],
        Note("compressor.at is \"blocks\""),
    ),
    (
        "compressor.similarity",
        &[VIT, "compressor={name=\"token-merging\",at=\"blocks\",r=1,similarity=\"content\"}"],
        Note("acts with compressor.at = \"before-encoder\", and compressor.at is \"blocks\""),
    ),
    ("compressor.r", &[VIT, "compressor={name=\"token-merging\",r=1}"], Note("acts with compressor.at = \"blocks\"")),
    (
        "compressor.r",
        &[VIT, "compressor={name=\"token-merging\",r=[1]}"],
        Note("compressor.r = [1] does nothing here: it acts with compressor.at = \"blocks\""),
    ),
    (
        "compressor.inflection",
        &[VIT, "compressor={name=\"token-merging\",inflection=0.5}"],
        Note("acts with compressor.at = \"blocks\", and compressor.at is \"before-encoder\""),
    ),
    (
        "compressor.inflection",
        &[VIT, "compressor={name=\"token-merging\",at=\"blocks\",r=1,across=\"increasing\",inflection=0.5}"],
        Refused("`across` is `increasing` already"),
    ),
    (
        "compressor.across",
        &[VIT, "compressor={name=\"token-merging\",at=\"blocks\",r=[1],across=\"increasing\"}"],
        Refused("`r` has a number for each block already"),
    ),
    (
        "compressor.across",
        &[VIT, "compressor={name=\"token-merging\",across=\"decreasing\"}"],
        Note("acts with compressor.at = \"blocks\""),
    ),
    (
        "model.proportional_attention",
        &[VIT, "model.proportional_attention=false"],
        Note("acts with a compressor, and compressor.name is \"none\""),
    ),
    (
        "model.heads",
        &["model={name=\"vit\",depth=0,dim=8,heads=2,patch=14}"],
        Note("acts with model.depth above 0, and model.depth is 0"),
    ),
    ("model.mlp_ratio", &["model={name=\"vit\",depth=0,dim=9,mlp_ratio=2,patch=14}"], Note("model.depth is 0")),
    (
        "model.activation",
        &["model={hidden=[],activation=\"tanh\"}", "prune.include_output=true"],
        Note("acts with at least one layer in model.hidden"),
    ),
    (
        "model.activation",
        &["model={name=\"cnn\",channels=[],hidden=[],activation=\"tanh\"}", "prune.include_output=true"],
        Note("acts with at least one layer in model.channels or model.hidden"),
    ),
    (
        "model.kernel",
        &["model={name=\"cnn\",channels=[],hidden=[4],kernel=5}"],
        Note("acts with at least one convolution in model.channels"),
    ),
    (
        "model.batch_norm",
        &["model={name=\"cnn\",channels=[],hidden=[4],batch_norm=true}"],
        Note("model.channels is []"),
    ),
    ("model.conv_bias", &["model={name=\"cnn\",channels=[],hidden=[4],conv_bias=false}"], Note("model.channels is []")),
    (
        "model.activation",
        &["model={name=\"vit\",depth=0,dim=8,heads=2,activation=\"gelu-exact\",patch=14}"],
        Note("model.depth is 0"),
    ),
    (
        "model.qkv_bias",
        &["model={name=\"vit\",depth=0,dim=8,heads=2,qkv_bias=false,patch=14}"],
        Note("model.depth is 0"),
    ),
    (
        "model.norm_eps",
        &["model={name=\"cnn\",channels=[2],hidden=[4],norm_eps=1e-3}"],
        Note("acts with model.batch_norm = true and at least one convolution in model.channels"),
    ),
    (
        "model.norm_momentum",
        &["model={name=\"cnn\",channels=[2],hidden=[4],norm_momentum=0.2}"],
        Note("model.batch_norm is false"),
    ),
    ("init.strict", &["init.strict=false"], Note("acts with init.from, and init.from is not set")),
    ("init.masks", &["init.masks=drop"], Note("acts with init.from, and init.from is not set")),
    ("init.names", &["init.names={a=\"fc1.weight\"}"], Note("acts with init.from, and init.from is not set")),
    ("seeds.split", &["seeds.split=4"], Note("data.validation and data.test_limit hold out nothing that is drawn")),
    ("seeds.data", &["seeds.data=4"], Note("\"glyphs\" is not generated from it")),
    ("seeds.pruner", &["seeds.pruner=4", "schedule.name=never"], Note("acts with a schedule that prunes")),
    ("data.dir", &["data.dir=somewhere"], Note("makes its examples and reads no file")),
    (
        "data.cubist-spiral",
        &["data.cubist-spiral.per_class=1000"],
        Note("acts with data.name = \"cubist-spiral\", and data.name is \"glyphs\""),
    ),
    (
        "data.augment",
        &["data={name=\"cubist-spiral\",cubist-spiral={per_class=1000},augment={flip=true}}"],
        Refused("holds points, not images"),
    ),
    ("data.train_limit", &["data.train_limit=300"], Refused("only 200 examples are there")),
    ("data.test_limit", &["data.test_limit=300"], Refused("only 50 examples are there")),
    ("output.survival", &["output.survival=true", UNITS], Note("prune.apply is \"shrink\"")),
    ("output.survival", &["output.survival=true", "schedule.name=never"], Note("schedule.name is \"never\"")),
    ("output.checkpoint_every", &["output.checkpoint_every=4"], Note("the run ends with epoch 4")),
    (
        "output.keep",
        &["output={keep=3,checkpoint_every=0}"],
        Note("acts with output.checkpoint_every other than 0, and output.checkpoint_every is 0"),
    ),
    ("output.best", &["output.best=true"], Note("acts with a validation split, and data.validation is 0")),
    ("output.pictures", &["output.pictures=3"], Note("there are no images, or the network neither reconstructs them")),
];

/// Options that need something for which a folder of images, a library or a network of one's own is made below, or
/// which other tests look at.
pub const ELSEWHERE: &[&str] = &["data.validation", "data.image-folder.test", "train.loss"];

/// All of them.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    TRAIN.iter().chain(GROW).chain(PRUNE).chain(OTHERS)
}
