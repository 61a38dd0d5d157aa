//! The stack machine of a pickle (CPython, `Lib/pickletools.py`).

use std::collections::BTreeMap;

use super::bytes::{Bytes, Fault};
use super::calls;
use super::value::{Id, Pickled, Value};

/// Values of one pickle; a checkpoint of Point-JEPA with its optimiser has about 30,000.
const MOST_VALUES: usize = 1 << 22;

/// Bytes of the name of a class with its module.
const LONGEST_NAME: usize = 256;

type Done<T = ()> = Result<T, Fault>;

/// Reads the pickle at the start of `bytes`.
///
/// # Errors
/// Fails if the bytes end early, are no pickle, or hold more than 2^22 values.
pub(crate) fn unpickle(bytes: &[u8]) -> Done<Pickled> {
    let mut machine = PickleMachine {
        bytes: Bytes::new(bytes),
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
    };
    loop {
        let at = machine.bytes.at;
        let op = machine.bytes.byte()?;
        if op == b'.' {
            let root = machine.pop()?;
            return Ok(Pickled { values: machine.values, root, read: machine.bytes.at });
        }
        machine.step(op).map_err(|fault| Fault { at, ..fault })?;
    }
}

struct PickleMachine<'a> {
    bytes: Bytes<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Id>,
}

impl PickleMachine<'_> {
    fn step(&mut self, op: u8) -> Done {
        let known = self.constant(op)?
            || self.text(op)?
            || self.container(op)?
            || self.fill(op)?
            || self.stack_or_memo(op)?
            || self.call(op)?;
        if known {
            Ok(())
        } else {
            Err(self.bytes.fault("an instruction of a pickle", format!("byte {op:#04x}")))
        }
    }

    fn constant(&mut self, op: u8) -> Done<bool> {
        let value = match op {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i64::from(self.bytes.number(4)? as u32 as i32)),
            b'K' => Value::Int(self.bytes.number(1)? as i64),
            b'M' => Value::Int(self.bytes.number(2)? as i64),
            b'I' => match self.bytes.line()? {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                line => line.parse().map_or_else(|_| Value::Object("int".into()), Value::Int),
            },
            b'L' => match self.bytes.line()?.trim_end_matches('L').parse() {
                Ok(value) => Value::Int(value),
                Err(_) => Value::Object("int".into()),
            },
            0x8a => {
                let len = self.bytes.number(1)?;
                self.long(len)?
            }
            0x8b => {
                let len = self.bytes.number(4)?;
                self.long(len)?
            }
            b'F' => Value::Float(self.bytes.decimal()?),
            b'G' => Value::Float(f64::from_bits(self.bytes.number(8)?.swap_bytes())),
            _ => return Ok(false),
        };
        self.push(value).map(|()| true)
    }

    /// An integer of `len` bytes, two's complement; one beyond 64 bits is opaque.
    fn long(&mut self, len: u64) -> Done<Value> {
        let bytes = self.bytes.take(len)?;
        if bytes.len() > 8 {
            return Ok(Value::Object("int".into()));
        }
        let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { u64::MAX } else { 0 };
        Ok(Value::Int(bytes.iter().rev().fold(sign, |sum, &byte| sum << 8 | u64::from(byte)) as i64))
    }

    fn text(&mut self, op: u8) -> Done<bool> {
        let value = match op {
            b'X' => Value::Text(self.bytes.text(4)?),
            0x8c => Value::Text(self.bytes.text(1)?),
            0x8d => Value::Text(self.bytes.text(8)?),
            b'T' => Value::Text(self.bytes.text(4)?),
            b'U' => Value::Text(self.bytes.text(1)?),
            b'V' => Value::Text(self.bytes.latin_line()?.into()),
            b'S' => Value::Text(self.bytes.line()?.trim_matches(['\'', '"']).into()),
            b'B' => self.opaque_bytes(4)?,
            b'C' => self.opaque_bytes(1)?,
            0x8e | 0x96 => self.opaque_bytes(8)?,
            _ => return Ok(false),
        };
        self.push(value).map(|()| true)
    }

    fn opaque_bytes(&mut self, size: u64) -> Done<Value> {
        let len = self.bytes.number(size)?;
        self.bytes.take(len)?;
        Ok(Value::Object("bytes".into()))
    }

    fn container(&mut self, op: u8) -> Done<bool> {
        let value = match op {
            b')' => Value::Tuple(Vec::new()),
            b']' => Value::List(Vec::new()),
            b'}' => Value::Dict(Vec::new()),
            0x8f => Value::Object("set".into()),
            b't' => Value::Tuple(self.pop_to_mark()?),
            b'l' => Value::List(self.pop_to_mark()?),
            b'd' => {
                let parts = self.pop_to_mark()?;
                Value::Dict(self.pairs(&parts)?)
            }
            0x91 => {
                self.pop_to_mark()?;
                Value::Object("frozenset".into())
            }
            0x85..=0x87 => {
                let mut parts = (0x84..op).map(|_| self.pop()).collect::<Done<Vec<Id>>>()?;
                parts.reverse();
                Value::Tuple(parts)
            }
            _ => return Ok(false),
        };
        self.push(value).map(|()| true)
    }

    /// Adds to the container on top of the stack.
    fn fill(&mut self, op: u8) -> Done<bool> {
        let parts = match op {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            b'e' | b'u' | 0x90 => self.pop_to_mark()?,
            _ => return Ok(false),
        };
        let target = self.top()? as usize;
        match (op, &self.values[target]) {
            (b's' | b'u', Value::Dict(_)) => {
                let new = self.pairs(&parts)?;
                if let Value::Dict(pairs) = &mut self.values[target] {
                    pairs.extend(new);
                }
            }
            (b'a' | b'e', Value::List(_)) => {
                if let Value::List(list) = &mut self.values[target] {
                    list.extend(parts);
                }
            }
            (_, Value::Object(_)) => {}
            (_, other) => return Err(self.bytes.fault("a container to add to", other.kind())),
        }
        Ok(true)
    }

    fn pairs(&self, parts: &[Id]) -> Done<Vec<(Id, Id)>> {
        if parts.len() % 2 == 1 {
            return Err(self.bytes.fault("keys with values", format!("{} parts", parts.len())));
        }
        Ok(parts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    fn stack_or_memo(&mut self, op: u8) -> Done<bool> {
        match op {
            b'(' => self.marks.push(self.stack.len()),
            b'0' if self.marks.last() == Some(&self.stack.len()) => self.marks.truncate(self.marks.len() - 1),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'p' => {
                let slot = self.bytes.decimal()?;
                self.remember(slot)?;
            }
            b'q' | b'r' => {
                let slot = self.bytes.number(if op == b'q' { 1 } else { 4 })?;
                self.remember(slot)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'g' => {
                let slot = self.bytes.decimal()?;
                self.recall(slot)?;
            }
            b'h' | b'j' => {
                let slot = self.bytes.number(if op == b'h' { 1 } else { 4 })?;
                self.recall(slot)?;
            }
            0x80 => match self.bytes.byte()? {
                0..=5 => {}
                other => return Err(self.bytes.fault("a pickle of protocol 0 to 5", other)),
            },
            // The length of a frame: a hint for buffering.
            0x95 => drop(self.bytes.take(8)?),
            0x98 => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Names of classes, and calls.
    fn call(&mut self, op: u8) -> Done<bool> {
        let value = match op {
            b'c' => {
                let (module, name) = (self.bytes.line()?, self.bytes.line()?);
                self.global(module, name)?
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module as usize], &self.values[name as usize]) {
                    (Value::Text(module), Value::Text(name)) => self.global(module, name)?,
                    (module, _) => return Err(self.bytes.fault("the name of a class", module.kind())),
                }
            }
            b'R' | 0x81 => {
                let (args, function) = (self.pop()?, self.pop()?);
                calls::call(&self.values, function, args)
            }
            0x92 => {
                let (_, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                calls::call(&self.values, class, args)
            }
            b'P' | b'Q' | b'i' | b'o' => self.old_object(op)?,
            // The state of an object, which nothing here looks into.
            b'b' => {
                self.pop()?;
                self.top()?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.push(value).map(|()| true)
    }

    /// A class or function; its name is short, so that a few bytes cannot fill the memory with copies.
    fn global(&self, module: &str, name: &str) -> Done<Value> {
        if module.len() + name.len() > LONGEST_NAME {
            let len = module.len() + name.len();
            return Err(self.bytes.fault(format!("a name of at most {LONGEST_NAME} bytes"), len));
        }
        Ok(Value::Global(format!("{module}.{name}").into()))
    }

    /// Persistent ids, and objects as protocol 0 made them.
    fn old_object(&mut self, op: u8) -> Done<Value> {
        match op {
            b'Q' => {
                let id = self.pop()?;
                return Ok(calls::read_storage(&self.values, id));
            }
            b'P' => drop(self.bytes.line()?),
            b'i' => {
                self.bytes.line()?;
                self.bytes.line()?;
                self.pop_to_mark()?;
            }
            _ => drop(self.pop_to_mark()?),
        }
        Ok(Value::Object("a class of protocol 0".into()))
    }

    fn push(&mut self, value: Value) -> Done {
        if self.values.len() >= MOST_VALUES {
            return Err(self.bytes.fault(format!("at most {MOST_VALUES} values"), "more"));
        }
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    /// The value on top, above the last mark.
    fn top(&self) -> Done<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(<[Id]>::last);
        top.copied().ok_or_else(|| self.bytes.fault("a value", "an empty stack"))
    }

    fn pop(&mut self) -> Done<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Done<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.bytes.fault("a mark", "none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, slot: u64) -> Done {
        let top = self.top()?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Done {
        let id = self.memo.get(&slot).copied();
        self.stack
            .push(id.ok_or_else(|| self.bytes.fault("a remembered value", format!("none in slot {slot}")))?);
        Ok(())
    }
}
