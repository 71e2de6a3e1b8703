//! WF204, WF302, WF303, WF310 and WF311: the names that expressions read, except for other tasks.

use super::Check;
use super::expressions::{Expressions, OF_THE_END, private};
use super::habits;
use super::known_facts::Known;
use super::sites::Phase;
use super::text::Text;
use super::undo;
use crate::expression::template::{FUNCTIONS, Guard, Read};
use crate::finding::shorten;
use crate::language::parse::name::{nearest, suggest};

/// Variables of the scope.
const ROOTS: [&str; 7] = ["parameters", "vars", "task", "item", "index", "batch", "system"];
const SYSTEM: [&str; 6] = ["workflow_ref", "execution", "now", "scheduled_for", "verdict", "errors"];

impl Expressions<'_> {
    pub fn read(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read) {
        if read.root.starts_with("__") {
            return private(check, text, &read.root, read.at);
        }
        let member = read.member.as_deref();
        if let Some(name) = member.filter(|name| name.starts_with("__") && matches!(&*read.root, "vars" | "parameters"))
        {
            return private(check, text, name, read.member_at);
        }
        if let ("vars", Some(name)) = (read.root.as_str(), member) {
            undo::published(check, text, name, read.member_at);
        }
        match (read.root.as_str(), member) {
            ("item" | "index" | "batch", _) => self.item(check, text, read),
            ("task", Some(name)) => self.task(check, text, read, name),
            _ if read.guard == Guard::Whole => {}
            ("vars", Some(name)) => self.variable(check, text, read, name),
            ("parameters", Some(name)) => self.parameter(check, text, read, name),
            ("system", Some(name)) if !SYSTEM.contains(&name) && read.guard == Guard::None => {
                let message = format!("`system` has no `{}`", shorten(name, 80));
                text.spot(check, read.member_at).error(302, message, suggest(name, &SYSTEM));
            }
            ("input", _) if text.site.phase == Phase::Undo => {}
            (root, _) if !ROOTS.contains(&root) && read.guard == Guard::None => {
                self.unknown_root(check, text, root, read.at);
            }
            _ => {}
        }
    }

    fn unknown_root(&mut self, check: &mut Check<'_>, text: &Text<'_>, root: &str, at: usize) {
        let shown = shorten(root, 80);
        if FUNCTIONS.contains(&root) {
            if OF_THE_END.contains(&root) {
                let message = format!("`{root}` is a function");
                text.spot(check, at).error(302, message, format!("write `{root}()`"));
            }
            return;
        }
        let hint = if self.variables.is_known(root) {
            format!("write `vars.{shown}`")
        } else if self.parameters.declared.as_ref().is_some_and(|declared| declared.contains(root)) {
            format!("write `parameters.{shown}`")
        } else if self.shape.by_name.contains_key(root) {
            format!("write `task.{shown}.result`")
        } else if let Some(hint) = habits::variable(root) {
            hint.to_owned()
        } else {
            suggest(root, &ROOTS)
        };
        text.spot(check, at).error(302, format!("unknown variable `{shown}`"), hint);
    }

    fn item(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read) {
        if read.guard != Guard::None {
            return;
        }
        let site = text.site;
        let with_items = site.task.is_some_and(|task| check.definition.tasks[task].with_items.is_some());
        let hint = match (with_items, site.phase) {
            (true, Phase::Item | Phase::Attempt | Phase::Undo) => return,
            (true, _) => "it is known only while an item runs, in `action` and `input`",
            (false, _) => "add `with_items` to the task",
        };
        let message = format!("`{}` is used outside of `with_items`", read.root);
        text.spot(check, read.at).error(204, message, hint.to_owned());
    }

    fn variable(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, name: &str) {
        let site = text.site;
        if site.set.iter().copied().flatten().any(|assignment| assignment.name == name) {
            return;
        }
        let shown = shorten(name, 80);
        if !self.variables.is_known(name) {
            let hint = match nearest(name, self.variables.names()) {
                Some(near) => format!("did you mean `vars.{near}`?"),
                None => format!("set it in `vars`, or publish it in an earlier task: `publish: [{{{shown}: …}}]`"),
            };
            let message = format!("the variable `{shown}` is never set");
            return text.spot(check, read.member_at).error(302, message, hint);
        }
        match (site.phase, site.task) {
            (Phase::Start, _) => {
                let message = format!("the variable `{shown}` is read before it is set");
                text.spot(check, read.member_at).error(302, message, "set it earlier".to_owned());
            }
            (_, Some(here)) => self.variable_of_task(check, text, read, name, here),
            _ if read.conditional || !self.shape.complete || self.variables.is_known_at_end(name) => {}
            _ => {
                let message = format!("the variable `{shown}` may be unset when the workflow completes");
                text.spot(check, read.member_at).warning(302, message, initialize(read, name));
            }
        }
    }

    fn variable_of_task(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, name: &str, here: usize) {
        let known = self.variables.known(here, name);
        // A part that is evaluated only under some condition may know which path was taken.
        if read.conditional && known != Known::Never {
            return;
        }
        if let Known::Never | Known::Always = known
            && self.of_another_branch(check, text, read, name, here)
        {
            return;
        }
        let shown = shorten(name, 80);
        let before = shorten(&self.shape.definition.tasks[here].name, 80);
        let message = match known {
            Known::Always => return,
            Known::Never => format!("the variable `{shown}` is not set before `{before}`"),
            Known::UnlessFailed => format!("after a failure, the variable `{shown}` may be unset here"),
            Known::Sometimes => format!("the variable `{shown}` is not set on every path to `{before}`"),
        };
        let spot = text.spot(check, read.member_at);
        match known == Known::Never || (read.guard == Guard::None && known == Known::Sometimes) {
            true => spot.error(302, message, initialize(read, name)),
            false => spot.warning(302, message, initialize(read, name)),
        }
    }

    /// Reports a variable that only a parallel branch sets, as a warning if it has an initial value. Returns whether it
    /// is such a variable.
    fn of_another_branch(
        &mut self,
        check: &mut Check<'_>,
        text: &Text<'_>,
        read: &Read,
        name: &str,
        here: usize,
    ) -> bool {
        let initial = self.variables.is_as_at_start(here, name);
        if self.variables.known(here, name) != Known::Never && !initial {
            return false;
        }
        let Some(sibling) = self.sibling(here, name) else { return false };
        let shown = |task: usize| shorten(&self.shape.definition.tasks[task].name, 80);
        let (name, here, sibling) = (shorten(name, 80), shown(here), shown(sibling));
        let hint =
            format!("join the branches first, in a task with `join: all` before this one, to which `{sibling}` leads");
        let message =
            format!("`{here}` does not see the variable `{name}` of `{sibling}`, which is on a parallel branch");
        let spot = text.spot(check, read.member_at);
        match initial {
            true => spot.warning(311, message, hint),
            false => spot.error(311, message, hint),
        }
        true
    }

    /// Returns a task that sets a variable and certainly may run at the same time.
    fn sibling(&mut self, here: usize, name: &str) -> Option<usize> {
        let key = (here, name.to_owned());
        if let Some(known) = self.sibling.get(&key) {
            return *known;
        }
        let (parallel, shape) = (&mut *self.parallel, self.shape);
        let makers = self.variables.makers(name).iter().copied();
        let found = makers.filter(|maker| *maker != here).find(|maker| parallel.may_meet(shape, *maker, here));
        self.sibling.insert(key, found);
        found
    }

    fn parameter(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, name: &str) {
        let Some(declared) = self.parameters.declared.as_ref() else { return };
        let shown = shorten(name, 80);
        if !declared.contains(name) {
            let hint = match nearest(name, declared.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `parameters.{near}`?"),
                None => format!("declare it: `parameters: {{properties: {{{shown}: {{type: …}}}}}}`"),
            };
            let message = format!("the parameter `{shown}` is not declared");
            let spot = text.spot(check, read.member_at);
            return match read.guard {
                Guard::None => spot.error(303, message, hint),
                _ => spot.warning(303, message, hint),
            };
        }
        if !self.parameters.optional.contains(name) || read.conditional {
            return;
        }
        if text.site.task.is_some_and(|here| self.is_tested(check, text.site, here, &format!("parameters.{name}"))) {
            return;
        }
        let message = format!("the parameter `{shown}` may be missing: it is not required and has no default");
        let hint = match read.guard {
            Guard::None => format!("write `parameters.{shown} | default(…)`, or add it to `required`"),
            _ => covers_less("parameters", name),
        };
        text.spot(check, read.member_at).warning(310, message, hint);
    }
}

/// Returns how to read a variable that may be unset.
fn initialize(read: &Read, name: &str) -> String {
    match read.guard {
        Guard::None => format!("give it an initial value: `vars: [{{{}: …}}]`", shorten(name, 80)),
        _ => covers_less("vars", name),
    }
}

/// Returns the hint for `default` applied to more than a name.
fn covers_less(root: &str, name: &str) -> String {
    let name = shorten(name, 80);
    format!("`default` applies to a name, not to what is computed from it: write `{root}.{name} | default(…)`")
}
