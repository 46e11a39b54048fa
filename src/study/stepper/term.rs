//! The stepper on a terminal: what `view` writes, laid out for the room there is.
//!
//! ```text
//!  80x24               100 columns and more: a third pane      under 80x24
//! status               status                                  status
//! turns                turns                                   rail
//! events | rail        (34 rows and more: lanes)               sentence
//! source | links       events | rail | why
//! sentence             source | lints | output
//! keys                 sentence, keys
//! ```
//!
//! While the program runs the terminal is its own; it is taken at a stop, and given back as it was: when the program
//! goes on, when somebody leaves, while Ctrl-Z or a SIGTSTP from outside holds it, and when anything here panics.

use super::live::Front;
use super::view::{Line, Tone, rule, wrap};
use super::{After, Key, Pane, Stepper};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Row, Span, Text};
use ratatui::{Frame, buffer::Buffer, widgets::Widget};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The keys and the marks, for `?`: as many lines as the smallest screen has.
const HELP: &str = "\
Small letters go on, capital letters go back; 10s goes ten times.
  s S   one event                     w     why: the way back; w once more: away
  n N   callback or step              g     to where it was registered
  f F   end, start of this frame      Backspace    back along your own jumps
  t T   turn of the loop              /     find in names, values, files
  e E   error event                   m '   mark it with a letter; go to a mark
  r R   next, previous event of d3    d D   the rail of another Deferred
  c C   breakpoint                    b     breakpoint: f.* d1 poem.rs:40 lint
  i I   finding, and what is wrong          or a name; alone: list; -2: switch 2
  1 2 3 level of detail               x     save: text FILE; jsonl, html,
  Home End    first, last event             chrome, mermaid, dot
  Tab   events, rail, why: where      q Q   leave; leave and end the program
        j k Enter act; Esc: away

In the rail: o ok lane  x error lane  [1] step ran  |1 passed by  (1) not yet
             = paused  ! error rests  -> cancel  ->| late result swallowed
In the list: [ begins  ] ends  | inside of it
In the row of turns: ~ the loop waits  # a callback or step  ! error  ^ cursor
AT HEAD: the program is held here; keys that go on let it run to the next stop.
PAST: it is held further on (live: where). You look back; nothing runs again.
(frozen): the loop's clock stands while the program is held.
Any key ends this help.
";

/// How the screen is to look.
///
/// ```
/// use ropewalk::study::{Stepper, stepper::term::{Look, Term}};
///
/// let look = Look { ascii: true, ..Look::of_environment() };
/// let front = Term::new(look); // for `Live::new`
/// # drop(front);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// With colours. Without, the same is told by bold, dim and reversed letters, and by marks.
    pub color: bool,
    /// ASCII only: no lines of the box-drawing kind.
    pub ascii: bool,
}

impl Look {
    /// As the environment asks: no colours with `NO_COLOR`, ASCII only where the locale is not UTF-8.
    pub fn of_environment() -> Look {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let utf8 = locale.is_some_and(|locale| {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Look { color: !set("NO_COLOR"), ascii: !utf8 }
    }
}

/// Whether there is a terminal on which a screen can be drawn: one that is not `dumb`.
///
/// ```
/// use ropewalk::study::stepper::term::is_usable;
///
/// let front = if is_usable() { "screen" } else { "prompt" };
/// println!("steps on a {front}");
/// ```
pub fn is_usable() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !dumb && io::stdin().is_terminal() && (io::stdout().is_terminal() || io::stderr().is_terminal())
}

type Hook = Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

/// The terminal, taken. It is given back when this is dropped.
struct Taken {
    terminal: Terminal<CrosstermBackend<Box<dyn Write>>>,
    hook: Hook,
    suspend: &'static Suspend,
}

fn output() -> Box<dyn Write> {
    if io::stdout().is_terminal() { Box::new(io::stdout()) } else { Box::new(io::stderr()) }
}

/// Whether the terminal is taken: to give it back twice would move its cursor.
static TAKEN: AtomicBool = AtomicBool::new(false);

fn give_back() {
    if !TAKEN.swap(false, Ordering::Relaxed) {
        return;
    }
    // There is nobody to tell that it did not work.
    let _ = disable_raw_mode();
    let _ = execute!(output(), LeaveAlternateScreen, cursor::Show);
}

impl Taken {
    fn take(suspend: &'static Suspend) -> io::Result<Taken> {
        enable_raw_mode()?;
        suspend.at_once.store(false, Ordering::Relaxed);
        TAKEN.store(true, Ordering::Relaxed);
        let mut out = output();
        let made = execute!(out, EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(out)));
        let terminal = match made {
            Ok(terminal) => terminal,
            Err(error) => {
                give_back();
                suspend.at_once.store(true, Ordering::Relaxed);
                return Err(error);
            }
        };
        // A panic's message is to be read, on the terminal as it was.
        let hook: Hook = Arc::from(std::panic::take_hook());
        let before = hook.clone();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        Ok(Taken { terminal, hook, suspend })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
        self.suspend.at_once.store(true, Ordering::Relaxed);
        // A hook cannot be set by a thread that panics.
        if !std::thread::panicking() {
            let hook = self.hook.clone();
            std::panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}

/// What becomes of a SIGTSTP: while the terminal is taken it is noted, and the process stops when the terminal is given
/// back. Else it stops at once, as a program without a handler.
struct Suspend {
    asked: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

/// How long a SIGTSTP may wait for an answer: nobody sees a delay of this length, and it costs ten looks a second.
const NOTICED: Duration = Duration::from_millis(100);

impl Suspend {
    /// Handlers are of the process, and cannot be taken back.
    fn get() -> io::Result<&'static Suspend> {
        static SUSPEND: OnceLock<Suspend> = OnceLock::new();
        if let Some(suspend) = SUSPEND.get() {
            return Ok(suspend);
        }
        let suspend = Suspend { asked: Arc::default(), at_once: Arc::new(AtomicBool::new(true)) };
        let signal = signal_hook::consts::SIGTSTP;
        signal_hook::flag::register_conditional_default(signal, suspend.at_once.clone())?;
        signal_hook::flag::register(signal, suspend.asked.clone())?;
        Ok(SUSPEND.get_or_init(|| suspend))
    }

    /// Stops the process; it goes on from here when somebody lets it.
    fn stop(&self) -> io::Result<()> {
        self.asked.store(false, Ordering::Relaxed);
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)
    }
}

/// What a person did, or another program.
enum Input {
    Key(KeyEvent),
    /// The size is another, for one.
    Other,
    Suspend,
}

impl Input {
    fn wait(suspend: &Suspend) -> io::Result<Input> {
        loop {
            if suspend.asked.load(Ordering::Relaxed) {
                return Ok(Input::Suspend);
            }
            if !event::poll(NOTICED)? {
                continue;
            }
            return Ok(match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
                    KeyCode::Char('z') if key.modifiers.contains(KeyModifiers::CONTROL) => Input::Suspend,
                    _ => Input::Key(key),
                },
                _ => Input::Other,
            });
        }
    }
}

/// Steps on the terminal.
///
/// ```no_run
/// use ropewalk::{Deferred, study::stepper::{Live, Stepper, term::{Look, Term}}, trace};
///
/// // The screen comes up before the first event; `q` lets the program run on.
/// let screen = Live::new(Stepper::live(), Term::new(Look::of_environment()));
/// trace::record_with(screen, || Deferred::succeed(1).map(|n| n + 1).detach());
/// ```
#[derive(Debug)]
pub struct Term {
    look: Look,
}

impl Term {
    /// Draws with this look.
    pub fn new(look: Look) -> Term {
        Term { look }
    }
}

impl Front for Term {
    fn stop(&mut self, stepper: &mut Stepper) -> io::Result<After> {
        let suspend = Suspend::get()?;
        let mut taken = Taken::take(suspend)?;
        loop {
            taken.terminal.draw(|frame| draw(frame, stepper, self.look))?;
            let after = match Input::wait(suspend)? {
                Input::Key(key) => {
                    let control = key.modifiers.contains(KeyModifiers::CONTROL);
                    match key.code {
                        KeyCode::Char('c' | 'd') if control => After::Stop,
                        KeyCode::Char('l') if control => {
                            taken.terminal.clear()?;
                            After::Show
                        }
                        _ if control => After::Show,
                        code => match key_of(code) {
                            Some(key) => stepper.key(key),
                            None => After::Show,
                        },
                    }
                }
                Input::Suspend => {
                    // The shell gets the terminal as it was. Here the process stops; `fg` lets it go on.
                    drop(taken);
                    suspend.stop()?;
                    taken = Taken::take(suspend)?;
                    After::Show
                }
                Input::Other => After::Show,
            };
            if after != After::Show {
                return Ok(after);
            }
        }
    }
}

fn key_of(code: KeyCode) -> Option<Key> {
    Some(match code {
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Char('S'),
        KeyCode::Right => Key::Char('s'),
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

/// Draws a stepper on any backend of ratatui.
///
/// ```
/// use ratatui::{Terminal, backend::TestBackend};
/// use ropewalk::{Deferred, study::{Stepper, stepper::term::{Look, draw}}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").detach());
/// let stepper = Stepper::of(trace);
/// let mut terminal = Terminal::new(TestBackend::new(80, 24))?;
/// terminal.draw(|frame| draw(frame, &stepper, Look { color: false, ascii: true }))?;
/// let screen: String = terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect();
/// assert!(screen.contains("A Deferred of type i32 is made: d1."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn draw(frame: &mut Frame<'_>, stepper: &Stepper, look: Look) {
    let area = frame.area();
    let mut page = Page { buffer: frame.buffer_mut(), look };
    page.whole(area, stepper);
}

struct Page<'b> {
    buffer: &'b mut Buffer,
    look: Look,
}

impl Page<'_> {
    fn whole(&mut self, area: Rect, stepper: &Stepper) {
        let (width, height) = (area.width, area.height);
        if stepper.help {
            self.help(area);
        } else if width < 80 || height < 24 {
            self.small(area, stepper);
        } else {
            self.large(area, stepper);
        }
    }

    fn help(&mut self, area: Rect) {
        let lines: Vec<Line> = HELP
            .lines()
            .flat_map(|line| wrap_keeping(line, usize::from(area.width)))
            .map(|line| Line::of(Tone::Plain, line))
            .collect();
        self.lines(area, lines);
    }

    /// The rail and the sentence; on a tiny terminal the sentence.
    fn small(&mut self, area: Rect, stepper: &Stepper) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        if width < 20 || height < 8 {
            let mut text = stepper.sentence();
            if let Some(bottom) = bottom(stepper, usize::MAX) {
                text = bottom;
            }
            let lines = wrap(&text, width).into_iter().map(|line| Line::of(Tone::Plain, line)).collect();
            return self.lines(area, lines);
        }
        let caption = wrap(&stepper.sentence(), width.saturating_sub(2)).len().clamp(1, height / 3);
        let [status, title, rail, rule_, said, keys] = split(area, [1, 1, 0, 1, caption, 1]);
        self.lines(status, vec![stepper.status(width)]);
        let (name, rows) = stepper.chain_pane(width, usize::from(rail.height));
        self.lines(title, vec![rule(&name, width)]);
        self.lines(rail, rows);
        self.lines(rule_, vec![rule(title_of_caption(stepper, width), width)]);
        self.lines(said, stepper.caption(width, caption));
        self.keys(keys, stepper);
    }

    fn large(&mut self, area: Rect, stepper: &Stepper) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        let (wide, tall) = (width >= 100, height >= 34);
        let lanes = if tall { (height / 6).min(10) } else { 0 };
        let source = if tall { 6 } else { 4 };
        let said = if tall { 4 } else { 3 };
        let rows = split(area, [1, 1, lanes, 1, 0, 1, source, 1, said, 1]);
        let [status, strip, lanes, titles, main, titles_below, below, title_said, said, keys] = rows;
        self.lines(status, vec![stepper.status(width)]);
        self.lines(strip, vec![stepper.strip(width)]);
        if tall {
            self.lines(lanes, stepper.lanes(width, usize::from(lanes.height)));
        }

        let events = if wide { width * 35 / 100 } else { 33 };
        let why = if wide { width * 24 / 100 } else { 0 };
        let [left, middle, right] = columns(main, [events, 0, why]);
        let rows = usize::from(main.height);
        let level = if stepper.level() == 1 { String::new() } else { format!(" (level {})", stepper.level()) };
        let (pane, _) = stepper.pane();
        let (name, mut rail) = stepper.chain_pane(usize::from(middle.width), rows);
        if let Some(last) = rail.last_mut()
            && last.text().trim().is_empty()
        {
            *last = stepper.others(usize::from(middle.width));
        }
        let focus = |which: Pane, text: String| {
            if pane == which && which != Pane::Events { format!("> {text}") } else { text }
        };
        self.titles(
            titles,
            [
                (left, focus(Pane::Events, format!("events{level}"))),
                (middle, focus(Pane::Chain, name)),
                (right, focus(Pane::Why, format!("why s{}", stepper.cursor()))),
            ],
        );
        // Where there is no third pane, the way back takes the place of the rail when it is asked for.
        if !wide && pane == Pane::Why {
            self.titles(
                titles,
                [
                    (middle, format!("> why s{}", stepper.cursor())),
                    (Rect::ZERO, String::new()),
                    (Rect::ZERO, String::new()),
                ],
            );
            rail = stepper.why_pane(usize::from(middle.width), rows, true);
        }
        self.lines(left, stepper.events_pane(usize::from(left.width), rows));
        self.lines(middle, rail);
        if wide {
            self.lines(right, stepper.why_pane(usize::from(right.width), rows, pane == Pane::Why));
        }
        self.separators(main, [left, middle, right]);

        let sides = if tall && wide { [0, width / 4, width / 4] } else { [0, width / 3, 0] };
        let [left, middle, right] = columns(below, sides);
        let rows = usize::from(below.height);
        let (name, source) = stepper.source(usize::from(left.width), rows);
        self.lines(left, source);
        if right.width > 0 {
            self.titles(titles_below, [(left, name), (middle, "errors".to_owned()), (right, "output".to_owned())]);
            self.lines(middle, stepper.warnings(usize::from(middle.width), rows));
            self.lines(right, stepper.output(usize::from(right.width), rows));
        } else {
            let none = (Rect::ZERO, String::new());
            self.titles(titles_below, [(left, name), (middle, "links".to_owned()), none]);
            let mut links = stepper.links(usize::from(middle.width));
            links.truncate(rows);
            self.lines(middle, links);
        }
        self.separators(below, [left, middle, right]);

        self.lines(title_said, vec![rule(title_of_caption(stepper, width), width)]);
        self.lines(said, stepper.caption(width, usize::from(said.height)));
        self.keys(keys, stepper);
    }

    /// A question, a remark, or the keys there are.
    fn keys(&mut self, area: Rect, stepper: &Stepper) {
        let line = match bottom(stepper, usize::from(area.width)) {
            Some(text) => Line::of(Tone::Strong, format!(" {text}")),
            None if area.width >= 110 => Line::of(
                Tone::Dim,
                " s/S step  n/N callback  f/F frame  t/T turn  e/E error  r/R to d..  c/C break  b breaks  w why  / find  ? help",
            ),
            None => {
                Line::of(Tone::Dim, " s/S step  n/N callback  t/T turn  e/E error  r to d..  w why  / find  ? help")
            }
        };
        self.lines(area, vec![line]);
    }

    fn titles(&mut self, area: Rect, titles: [(Rect, String); 3]) {
        for (column, title) in titles {
            if column.width > 0 {
                let at = Rect { y: area.y, height: area.height, ..column };
                // The rule goes on under the line between two panes.
                let at = Rect { width: (at.width + 1).min(area.right().saturating_sub(at.x)), ..at };
                self.lines(at, vec![rule(&title, usize::from(at.width))]);
            }
        }
    }

    fn separators(&mut self, area: Rect, columns: [Rect; 3]) {
        let glyph = if self.look.ascii { "|" } else { "\u{2502}" };
        for column in columns {
            let x = column.right();
            if column.width > 0 && x < area.right() {
                for y in area.y..area.bottom() {
                    self.buffer.set_string(x, y, glyph, self.style(Tone::Title));
                }
            }
        }
    }

    /// Lines in their place; whatever is too long or too many is cut off there.
    fn lines(&mut self, area: Rect, lines: Vec<Line>) {
        let rows: Vec<Row<'_>> = lines
            .into_iter()
            .map(|line| {
                let spans = line.0.into_iter().map(|(tone, text)| {
                    let text = match tone {
                        Tone::Title if !self.look.ascii => text.replace('=', "\u{2500}"),
                        _ => text,
                    };
                    Span::styled(text, self.style(tone))
                });
                Row::from(spans.collect::<Vec<_>>())
            })
            .collect();
        Text::from(rows).render(area.intersection(self.buffer.area), self.buffer);
    }

    fn style(&self, tone: Tone) -> Style {
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Ok => Style::new(),
            Tone::Dim => Style::new().add_modifier(Modifier::DIM),
            Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
            Tone::Err => Style::new().add_modifier(Modifier::BOLD),
            Tone::Warn => Style::new(),
            Tone::Here => Style::new().add_modifier(Modifier::REVERSED),
            Tone::Title => Style::new().add_modifier(Modifier::DIM),
        };
        if !self.look.color {
            return style;
        }
        // Blue and orange are told apart by nearly everybody.
        match tone {
            Tone::Ok => Style::new().fg(Color::Cyan),
            Tone::Err => Style::new().fg(Color::LightRed),
            Tone::Warn => Style::new().fg(Color::Yellow),
            _ => style,
        }
    }
}

fn title_of_caption(stepper: &Stepper, width: usize) -> &'static str {
    if stepper.long_note(width).is_some() { "note" } else { "what happened" }
}

/// The question that is asked, or the remark on the last key, unless that needs more than a line of `width`.
fn bottom(stepper: &Stepper, width: usize) -> Option<String> {
    if let Some((what, typed)) = stepper.asks() {
        return Some(format!("{what}: {}_", crate::study::words::escaped(typed)));
    }
    match (stepper.is_answered(), stepper.note()) {
        (Some(false), "") => Some("Enter shows the answer.".to_owned()),
        // The answer stands above, whole; this line may be too short for it.
        (Some(true), note) if note.starts_with("The answer: ") => None,
        (_, "") => None,
        _ if stepper.long_note(width).is_some() => None,
        (_, note) => Some(crate::study::words::whole(note)),
    }
}

/// Cuts a line of help into lines, and keeps its columns where there is room.
fn wrap_keeping(line: &str, width: usize) -> Vec<String> {
    if line.chars().count() <= width { vec![line.to_owned()] } else { wrap(line.trim(), width) }
}

/// Rows of these heights; the one of height 0 takes the rest.
fn split<const N: usize>(area: Rect, heights: [usize; N]) -> [Rect; N] {
    let fixed: usize = heights.iter().sum();
    let rest = usize::from(area.height).saturating_sub(fixed) as u16;
    let mut y = area.y;
    let first_zero = heights.iter().rposition(|h| *h == 0);
    let mut i = 0;
    heights.map(|height| {
        let height = if Some(i) == first_zero { rest } else { height as u16 };
        i += 1;
        let height = height.min(area.bottom().saturating_sub(y));
        let row = Rect { x: area.x, y, width: area.width, height };
        y += height;
        row
    })
}

/// Columns of these widths with one cell between two; the one of width 0 takes the rest, and the last one of width 0
/// is none.
fn columns(area: Rect, widths: [usize; 3]) -> [Rect; 3] {
    let free = widths.iter().position(|w| *w == 0).unwrap_or(0);
    let used: usize = widths.iter().filter(|w| **w > 0).map(|w| w + 1).sum();
    let rest = usize::from(area.width).saturating_sub(used) as u16;
    let mut x = area.x;
    let mut i = 0;
    widths.map(|width| {
        let width = if i == free { rest } else { width as u16 };
        i += 1;
        if width == 0 {
            return Rect::ZERO;
        }
        let column = Rect { x, width: width.min(area.right().saturating_sub(x)), ..area };
        x = x.saturating_add(width + 1).min(area.right());
        column
    })
}
