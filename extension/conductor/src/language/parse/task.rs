//! Tasks.

use serde_json::Value;

use super::name::is_ref;
use super::walk::{Fields, Range, Walk};
use super::words::{
    BACKOFFS, ITEMS_REST, JOIN, JOIN_REST, ON_ITEM_FAILURE, REPEAT, RETRY, RETRY_EACH, TASK, WAIT_FOR, WITH_ITEMS,
};
use crate::expression::template;
use crate::finding::shorten;
use crate::language::definition::{ItemCount, Join, OnItemFailure, Repeat, Rest, Retry, Task, WaitFor, WithItems};
use crate::source::{Content, NodeId};

/// Maximum of `max_lost_leases`.
const MAX_LOST_LEASES: u32 = 1000;
/// Default of `repeat.max`.
const MAX_REPETITIONS: u32 = 1000;

impl Walk<'_> {
    /// Reads one task. `key` is its name if tasks are a map.
    pub fn read_task(&mut self, node: NodeId, key: Option<NodeId>, path: &str) -> Option<Task> {
        self.place(path.to_owned(), node);
        let name = match key {
            Some(key) => Some(key),
            None => self.source.get(node, "name"),
        };
        self.task = name.and_then(|name| self.source.str(name)).map(|name| shorten(name, 128).into_owned());
        let task = self.task_fields(node, key, path);
        self.task = None;
        task
    }

    fn task_fields(&mut self, node: NodeId, key: Option<NodeId>, path: &str) -> Option<Task> {
        let empty = key.is_some() && matches!(self.source.content(node), Content::Null);
        let fields = if empty { Fields::none(node) } else { self.fields_of_task(node)? };
        let name = self.task_name(&fields, key, path);
        let at = |field: &str| format!("{path}.{field}");
        let action = fields.get("action").and_then(|node| self.action(node, at("action")));
        let input = fields.get("input").map(|node| self.input(node, at("input"))).unwrap_or_default();
        let when = fields.get("when").and_then(|node| self.condition(node, at("when"), "`when`")).flatten();
        let delay =
            fields.get("delay").and_then(|node| self.duration_or_template(node, at("delay"), "`delay`", Range::DELAY));
        let timeout = fields
            .get("timeout")
            .and_then(|node| self.duration_or_template(node, at("timeout"), "`timeout`", Range::TIMEOUT));
        let (join, join_rest) = fields.get("join").map(|node| self.join(node, at("join"))).unwrap_or_default();
        let with_items = fields.get("with_items").and_then(|node| self.with_items(node, &at("with_items")));
        let retry = fields.get("retry").and_then(|node| self.retry(node, &at("retry")));
        let repeat = fields.get("repeat").and_then(|node| self.repeat(node, &at("repeat")));
        let wait_for = fields.get("wait_for").and_then(|node| self.wait_for(node, &at("wait_for")));
        let priority = fields.get("priority").and_then(|node| self.priority(node));
        let lost = fields.get("max_lost_leases").and_then(|node| self.max_lost_leases(node));
        let limit = fields.get("limit").map(|node| self.limits_of_task(node, &at("limit"))).unwrap_or_default();
        let undo = fields.get("undo").and_then(|node| self.undo(node, &at("undo")));
        let publish = fields.get("publish").map(|node| self.variables(node, &at("publish"), "`publish`"));
        let next = self.transitions(&fields, path);
        self.needs_action(&fields);
        Some(Task {
            name,
            action,
            input,
            when,
            delay,
            timeout,
            join,
            join_rest,
            with_items,
            retry,
            repeat,
            wait_for,
            priority: priority.unwrap_or_default(),
            max_lost_leases: lost,
            limit,
            undo,
            publish: publish.unwrap_or_default(),
            next,
        })
    }

    fn fields_of_task(&mut self, node: NodeId) -> Option<Fields> {
        let with_items = self.source.get(node, "with_items").is_some();
        let mut known = TASK.to_vec();
        // These are known only to give a better message than `unknown field`.
        known.extend(WITH_ITEMS);
        let Content::Map(entries) = self.source.content(node) else {
            self.wrong_type(node, "a task", "a map");
            return None;
        };
        for (key, _) in entries {
            let text = self.source.str(*key).unwrap_or_default();
            if WITH_ITEMS.contains(&text) {
                let message = match with_items {
                    true => format!("`{text}` belongs inside `with_items`, not next to it"),
                    false => format!("`{text}` requires `with_items`"),
                };
                let hint = format!("write with_items: {{items: …, {text}: …}}");
                self.report(203, *key, message, hint);
            }
        }
        self.fields_but(node, "a task", &known, TASK)
    }

    fn task_name(&mut self, fields: &Fields, key: Option<NodeId>, path: &str) -> String {
        let node = match (key, fields.get("name")) {
            (Some(key), Some(inner)) => {
                let hint = "remove it: the map's key is the name".to_owned();
                self.report(3, inner, "`name` is set in a task that already has a name", hint);
                key
            }
            (Some(key), None) => key,
            (None, Some(node)) => node,
            (None, None) => {
                self.missing(fields.node, "a task", "name");
                return String::new();
            }
        };
        self.place(format!("{path}.name"), node);
        let Some(name) = self.text(node, "a task's name") else { return String::new() };
        self.check_name(node, &name, "a task");
        name
    }

    pub(super) fn max_lost_leases(&mut self, node: NodeId) -> Option<u32> {
        let count = self.whole(node, "`max_lost_leases`", Range::whole(1, MAX_LOST_LEASES))?;
        u32::try_from(count).ok()
    }

    pub(super) fn action(&mut self, node: NodeId, path: String) -> Option<String> {
        let action = self.text(node, "`action`")?;
        self.place(path, node);
        if !template::is_template(&action) && !template::is_yaql(&action) {
            self.check_ref(node, &action, "a valid action ref");
        }
        Some(action)
    }

    /// Reports a text that is not `pack.name`.
    pub fn check_ref(&mut self, node: NodeId, text: &str, what: &str) {
        if is_ref(text) {
            return;
        }
        let lower = text.to_lowercase();
        let hint = match is_ref(&lower) {
            true => format!("write `{lower}`"),
            false => "write `pack.name`: lower-case letters, digits, _ and -; the pack has at least two characters"
                .to_owned(),
        };
        self.report(7, node, format!("`{}` is not {what}", shorten(text, 80)), hint);
    }

    pub(super) fn input(&mut self, node: NodeId, path: String) -> Value {
        let pure = self.source.str(node).is_some_and(|text| template::pure(text).is_some() || template::is_yaql(text));
        if !pure && !matches!(self.source.content(node), Content::Map(_)) {
            self.wrong_type(node, "`input`", "a map, or one {{ … }} template");
            return Value::Null;
        }
        self.value(node, path)
    }

    /// Reads `all`, a number, or both what to wait for and what happens to the rest.
    fn join(&mut self, node: NodeId, path: String) -> (Option<Join>, Rest) {
        if !matches!(self.source.content(node), Content::Map(_)) {
            return (self.join_count(node, path), Rest::default());
        }
        self.place(path.clone(), node);
        let Some(fields) = self.fields(node, "`join`", JOIN) else { return Default::default() };
        let count = match fields.get("count") {
            Some(node) => self.join_count(node, format!("{path}.count")),
            None => {
                self.missing(node, "`join`", "count");
                None
            }
        };
        let rest = fields.get("rest").and_then(|node| self.word(node, "`rest`", JOIN_REST));
        (count, rest.unwrap_or_default())
    }

    fn join_count(&mut self, node: NodeId, path: String) -> Option<Join> {
        self.place(path, node);
        match self.source.content(node) {
            Content::Text(text) if text == "all" => Some(Join::All),
            Content::Text(text) => {
                let message = format!("`join` can't be `{}`", shorten(text, 80));
                self.report(6, node, message, "write `all`, or how many inbound tasks to wait for".to_owned());
                None
            }
            Content::Number(_) => {
                let count = self.whole(node, "`join`", Range::whole(1, u32::MAX))?;
                u32::try_from(count).ok().map(Join::Count)
            }
            _ => {
                self.wrong_type(node, "`join`", "`all`, a number or a map");
                None
            }
        }
    }

    pub(super) fn priority(&mut self, node: NodeId) -> Option<i32> {
        let range = Range { min: f64::from(i32::MIN), max: f64::from(i32::MAX), whole: true };
        let number = self.number(node, "`priority`", range)?;
        number.as_i64().and_then(|n| i32::try_from(n).ok())
    }

    fn with_items(&mut self, node: NodeId, path: &str) -> Option<WithItems> {
        self.place(path.to_owned(), node);
        if !matches!(self.source.content(node), Content::Map(_)) {
            let items = self.items(node, format!("{path}.items"))?;
            return Some(WithItems {
                items,
                names: Vec::new(),
                label: None,
                concurrency: None,
                batch_size: None,
                on_item_failure: OnItemFailure::default(),
                max_failures: None,
                min_successes: None,
                rest: Rest::default(),
            });
        }
        let fields = self.fields(node, "`with_items`", WITH_ITEMS)?;
        let items = match fields.get("items") {
            Some(items) => self.items(items, format!("{path}.items")),
            None => {
                self.missing(node, "`with_items`", "items");
                None
            }
        };
        let positive = Range::whole(1, i32::MAX as u32);
        let mut count = |name: &str| {
            let node = fields.get(name)?;
            self.number_or_template(node, format!("{path}.{name}"), &format!("`{name}`"), positive)
        };
        let (concurrency, batch_size) = (count("concurrency"), count("batch_size"));
        let names = fields.get("as").map(|node| self.item_names(node));
        let label = fields.get("label").and_then(|node| {
            self.place(format!("{path}.label"), node);
            self.text(node, "`label`")
        });
        let on_item_failure =
            fields.get("on_item_failure").and_then(|node| self.word(node, "`on_item_failure`", ON_ITEM_FAILURE));
        let max_failures = fields.get("max_failures").and_then(|node| self.item_count(node, "`max_failures`", 0));
        let min_successes = fields.get("min_successes").and_then(|node| self.item_count(node, "`min_successes`", 1));
        for (name, given) in [("max_failures", max_failures), ("min_successes", min_successes)] {
            if let (Some(OnItemFailure::FailFast), Some(_), Some(node)) = (on_item_failure, given, fields.get(name)) {
                let hint = format!("remove one of them: with `{name}`, all items run");
                self.report(6, node, format!("`{name}` cannot be combined with `on_item_failure: fail_fast`"), hint);
            }
        }
        if let (Some(_), Some(_), Some(node)) = (max_failures, min_successes, fields.get("min_successes")) {
            let hint =
                "remove one of them: the task is decided either by enough successes or by too many failures".to_owned();
            self.report(6, node, "`min_successes` cannot be combined with `max_failures`".to_owned(), hint);
        }
        let rest = fields.get("rest").and_then(|node| {
            if min_successes.is_none() && fields.get("min_successes").is_none() {
                let hint = "add `min_successes:`, or remove `rest`".to_owned();
                self.report(6, node, "`rest` requires `min_successes`".to_owned(), hint);
            }
            self.word(node, "`rest`", ITEMS_REST)
        });
        Some(WithItems {
            items: items.unwrap_or(Value::Array(Vec::new())),
            names: names.unwrap_or_default(),
            label,
            concurrency,
            batch_size,
            on_item_failure: on_item_failure.unwrap_or_default(),
            max_failures,
            min_successes,
            rest: rest.unwrap_or_default(),
        })
    }

    fn item_names(&mut self, node: NodeId) -> Vec<String> {
        let names = self.names(node, "`as`");
        for name in &names {
            self.check_name(name.node, &name.text, "a part of an item");
        }
        names.into_iter().map(|name| name.text).collect()
    }

    fn items(&mut self, node: NodeId, path: String) -> Option<Value> {
        match self.source.content(node) {
            Content::List(items) if items.len() > self.bounds.items => {
                let message = format!("there are {} items, more than the {} allowed", items.len(), self.bounds.items);
                self.report(9, node, message, None);
                None
            }
            Content::List(_) => Some(self.value(node, path)),
            Content::Text(text) if template::pure(text).is_some() || template::is_yaql(text) => {
                Some(self.value(node, path))
            }
            Content::Text(_) => {
                let hint = "write a list, or \"{{ … }}\" that yields one".to_owned();
                self.report(6, node, "`with_items` requires a list, not text", hint);
                None
            }
            _ => {
                self.wrong_type(node, "`items`", "a list, or one {{ … }} template that yields one");
                None
            }
        }
    }

    /// Reads a number of items, with a minimum, or a percentage of them.
    fn item_count(&mut self, node: NodeId, what: &str, least: u32) -> Option<ItemCount> {
        let percent = self.source.str(node).and_then(|text| text.trim().strip_suffix('%'));
        if let Some(percent) = percent.and_then(|number| number.trim().parse::<f64>().ok()) {
            if (0.0..=100.0).contains(&percent) && (least == 0 || percent > 0.0) {
                return Some(ItemCount::Percent(percent));
            }
            self.report(6, node, format!("{what} must be between 0% and 100%"), None);
            return None;
        }
        if self.source.str(node).is_some() {
            let message = format!("{what} must be a number or a percentage");
            self.report(6, node, message, "write 3 or \"10%\"".to_owned());
            return None;
        }
        let count = self.whole(node, what, Range::whole(least, i32::MAX as u32))?;
        u32::try_from(count).ok().map(ItemCount::Count)
    }

    pub(super) fn retry(&mut self, node: NodeId, path: &str) -> Option<Retry> {
        self.place(path.to_owned(), node);
        let fields = self.fields(node, "`retry`", RETRY)?;
        let at = |field: &str| format!("{path}.{field}");
        let count = match fields.get("count") {
            Some(node) => self.number_or_template(node, at("count"), "`count`", Range::whole(0, i32::MAX as u32)),
            None => {
                self.missing(node, "`retry`", "count");
                None
            }
        };
        let delay =
            fields.get("delay").and_then(|node| self.duration_or_template(node, at("delay"), "`delay`", Range::DELAY));
        let backoff = fields.get("backoff").and_then(|node| self.word(node, "`backoff`", BACKOFFS));
        let factor = fields.get("factor").and_then(|node| self.real(node, "`factor`", Range::real(0.0, 1e6)));
        let max_delay = fields.get("max_delay").and_then(|node| self.duration(node, "`max_delay`", Range::DELAY));
        let full_jitter = fields.get("jitter").is_some_and(|node| self.source.str(node) == Some("full"));
        let jitter = fields.get("jitter").filter(|_| !full_jitter);
        let jitter = jitter.and_then(|node| self.real(node, "`jitter`", Range::real(0.0, 1.0)));
        let when = fields.get("when").and_then(|node| self.condition(node, at("when"), "`when`")).flatten();
        let max_elapsed =
            fields.get("max_elapsed").and_then(|node| self.duration(node, "`max_elapsed`", Range::TIMEOUT));
        let each = fields.get("each").and_then(|node| self.word(node, "`each`", RETRY_EACH));
        Some(Retry {
            count: count.unwrap_or(Value::from(0)),
            delay,
            backoff: backoff.unwrap_or_default(),
            factor: factor.unwrap_or(2.0),
            max_delay: max_delay.and_then(|n| n.as_f64()),
            jitter: jitter.unwrap_or_default(),
            full_jitter,
            when,
            max_elapsed: max_elapsed.and_then(|n| n.as_u64()),
            each: each.unwrap_or_default(),
        })
    }

    fn repeat(&mut self, node: NodeId, path: &str) -> Option<Repeat> {
        self.place(path.to_owned(), node);
        let fields = self.fields(node, "`repeat`", REPEAT)?;
        let at = |field: &str| format!("{path}.{field}");
        let until = match fields.get("until") {
            Some(node) => self.condition(node, at("until"), "`until`").flatten(),
            None => {
                self.missing(node, "`repeat`", "until");
                None
            }
        };
        let delay =
            fields.get("delay").and_then(|node| self.duration_or_template(node, at("delay"), "`delay`", Range::DELAY));
        let backoff = fields.get("backoff").and_then(|node| self.word(node, "`backoff`", BACKOFFS));
        let factor = fields.get("factor").and_then(|node| self.real(node, "`factor`", Range::real(0.0, 1e6)));
        let max_delay = fields.get("max_delay").and_then(|node| self.duration(node, "`max_delay`", Range::DELAY));
        let max = fields
            .get("max")
            .and_then(|node| self.number_or_template(node, at("max"), "`max`", Range::whole(1, i32::MAX as u32)));
        let timeout = fields.get("timeout").and_then(|node| self.duration(node, "`timeout`", Range::TIMEOUT));
        Some(Repeat {
            until: until?,
            delay,
            backoff: backoff.unwrap_or_default(),
            factor: factor.unwrap_or(2.0),
            max_delay: max_delay.and_then(|n| n.as_f64()),
            max: max.unwrap_or(Value::from(MAX_REPETITIONS)),
            timeout: timeout.and_then(|n| n.as_u64()),
        })
    }

    fn wait_for(&mut self, node: NodeId, path: &str) -> Option<WaitFor> {
        self.place(path.to_owned(), node);
        let fields = self.fields(node, "`wait_for`", WAIT_FOR)?;
        let Some(signal_node) = fields.get("signal") else {
            self.missing(node, "`wait_for`", "signal");
            return None;
        };
        let signal = self.text(signal_node, "`signal`")?;
        self.place(format!("{path}.signal"), signal_node);
        let timeout = fields
            .get("timeout")
            .and_then(|node| self.duration_or_template(node, format!("{path}.timeout"), "`timeout`", Range::TIMEOUT));
        let heartbeat = fields.get("heartbeat").and_then(|node| self.duration(node, "`heartbeat`", Range::TIMEOUT));
        let heartbeat = heartbeat.and_then(|seconds| u32::try_from(seconds.as_u64()?).ok());
        let schema = fields.get("schema").and_then(|node| {
            self.place(format!("{path}.schema"), node);
            self.json_schema(node, "schema")
        });
        Some(WaitFor { signal, timeout, heartbeat, schema })
    }

    /// Reports fields that need an action: a task either waits or works, and a routing task is completed immediately,
    /// so nothing that only an action can use has a meaning there.
    fn needs_action(&mut self, fields: &Fields) {
        if let (Some(_), Some(wait)) = (fields.get("action"), fields.get("wait_for")) {
            let hint = "use one task for the work and another one for the wait".to_owned();
            self.report(6, wait, "`wait_for` cannot be combined with `action`".to_owned(), hint);
        }
        if let (Some(_), Some(limit)) = (fields.get("wait_for"), fields.get("limit")) {
            let hint = "limit the task that does the work: waiting occupies no worker".to_owned();
            self.report(6, limit, "`limit` cannot be combined with `wait_for`".to_owned(), hint);
        }
        if fields.get("action").is_some() || fields.get("wait_for").is_some() {
            return;
        }
        for name in ["input", "with_items", "retry", "repeat", "max_lost_leases", "limit", "undo"] {
            if let Some(node) = fields.get(name) {
                self.report(201, node, format!("`{name}` requires `action`"), "add `action:`".to_owned());
                return;
            }
        }
    }
}
