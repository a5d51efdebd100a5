//! What an application wants to be told of its process: `mod_wsgi.subscribe_shutdown`, `mod_wsgi.subscribe_signals`.

use std::ffi::CStr;

use oxwsgi_core::report::{Level, Number};

use crate::python::{Args, Attached, Class, Exception, Held, Module, Obj, PyResult, Slots, Type};
use crate::wsgi::report::Report;
use crate::wsgi::settings::Settings;

/// The lists of callbacks of one interpreter. Used attached.
#[derive(Debug)]
pub struct Callbacks {
    shutdown: Held,
    signals: Held,
}

/// Something that callbacks are told.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The process ends; why, in the words of `shutdown_reason`.
    ProcessStopping(&'a str),
    /// The process got a signal of this name and number.
    ProcessSignal(&'a str, i32),
}

/// `subscribe_shutdown` or `subscribe_signals`.
#[derive(Debug)]
pub struct Subscribe {
    settings: &'static Settings,
    name: &'static str,
    /// None where there is nothing to be told of.
    list: Option<Held>,
}

impl Callbacks {
    /// Nobody's yet, with the attributes of the `mod_wsgi` module that lead to them.
    pub fn add<'py>(
        py: Attached<'py>,
        module: &Module,
        settings: &'static Settings,
        class: &Type<Subscribe>,
    ) -> PyResult<'py, Self> {
        let (shutdown, signals) = (py.list(&[])?, py.list(&[])?);
        let subscribe = |name, list: Option<&Obj<'py>>| {
            let list = list.map(|list| list.clone().hold());
            class.instance(py, Subscribe { settings, name, list })
        };
        module.set(py, c"shutdown_callbacks", &shutdown)?;
        module.set(py, c"signal_callbacks", &signals)?;
        module.set(py, c"subscribe_shutdown", &subscribe("subscribe_shutdown", Some(&shutdown))?)?;
        // In a process of the server its signals are the server's.
        let told = settings.is_daemon().then_some(&signals);
        module.set(py, c"subscribe_signals", &subscribe("subscribe_signals", told)?)?;
        Ok(Self { shutdown: shutdown.hold(), signals: signals.hold() })
    }

    /// Tells who wants to know; exceptions are logged.
    pub fn publish(&self, py: Attached<'_>, settings: &'static Settings, event: Event<'_>) {
        if let Err(raised) = self.tell(py, settings, event) {
            Report::Process(settings).write(py, Level::Error, raised.take().lines());
        }
    }

    fn tell<'py>(
        &self,
        py: Attached<'py>,
        settings: &'static Settings,
        event: Event<'_>,
    ) -> PyResult<'py, ()> {
        let details = py.dict()?;
        let (list, name, number) = match event {
            Event::ProcessStopping(reason) => {
                details.set_entry(c"shutdown_reason", &py.text(reason)?)?;
                (&self.shutdown, "process_stopping", Number(112))
            }
            Event::ProcessSignal(signal, number) => {
                details.set_entry(c"signame", &py.text(signal)?)?;
                details.set_entry(c"signum", &py.int(number.into())?)?;
                (&self.signals, "process_signal", Number(190))
            }
        };
        // As they are now: a callback may subscribe another one.
        let callbacks: Vec<Obj<'py>> = list.get(py).items().into_iter().flatten().collect();
        let event_name = py.text(name)?;
        for callback in callbacks {
            let told = callback.call_with_dict(&[&event_name], &details.copy_dict()?);
            // A callback may tell the next ones more.
            let merged = told.and_then(|answer| {
                if answer.is_dict() { details.call_method(c"update", &[&answer]).map(drop) } else { Ok(()) }
            });
            if let Err(raised) = merged {
                let exception = raised.take();
                let first = format!("{number}: {} exception raised by a {name} callback.", exception.name());
                let lines = std::iter::once(first).chain(exception.lines()).collect();
                Report::Process(settings).write(py, Level::Error, lines);
            }
        }
        Ok(())
    }
}

impl Subscribe {
    fn call<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let callback = &args.expect(py, self.name, 1, 1)?[0];
        if !callback.is_callable() {
            let text = format!("{}() argument must be callable, not {}", self.name, callback.type_name());
            return Err(py.raise(Exception::Type, text));
        }
        match &self.list {
            Some(list) => list.get(py).append(callback)?,
            None if self.settings.log_level >= Level::Info => {
                let mut lines = vec![format!(
                    "Ignoring {}(): signals are delivered in daemon processes only.",
                    self.name
                )];
                lines.extend(py.stack_lines());
                Report::Process(self.settings).write(py, Level::Info, lines);
            }
            None => {}
        }
        Ok(callback.clone())
    }
}

impl Class for Subscribe {
    const NAME: &'static CStr = c"mod_wsgi.Subscribe";
    const DOC: &'static CStr = c"Registers a callback, and returns it.";
    const SLOTS: Slots<Self> = Slots { call: Some(Self::call), ..Slots::NONE };

    fn release(self, py: Attached<'_>) {
        if let Some(list) = self.list {
            list.release(py);
        }
    }
}
