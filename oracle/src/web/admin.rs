//! Pages on which operators act and auditors look: what their lists and forms have in common.

pub(crate) mod audit;
pub(crate) mod principals;
pub(crate) mod providers;
pub(crate) mod sessions;

use super::form::{confirm, hidden, select};
use maud::{Markup, html};

/// Things on a page of a list.
const PER_PAGE: usize = 50;

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    /// What stands on it.
    pub items: Vec<T>,
    /// Its number, from 1.
    pub page: usize,
    /// Pages in all, 1 at least.
    pub pages: usize,
    /// Things in all.
    pub all: usize,
}

impl<T> Listed<T> {
    /// Page number `page` of `all`; one that is not there is the nearest that is.
    pub fn page(all: Vec<T>, page: Option<usize>) -> Self {
        let (count, pages) = (all.len(), all.len().div_ceil(PER_PAGE).max(1));
        let page = page.unwrap_or(1).clamp(1, pages);
        let items = all.into_iter().skip((page - 1) * PER_PAGE).take(PER_PAGE).collect();
        Self { items, page, pages, all: count }
    }

    /// Links to the pages before and after; `at` is the list's address with a query to which a field can be added.
    fn pager(&self, at: &str) -> Markup {
        html! {
            @if self.pages > 1 {
                nav aria-label="Pages of the list" {
                    ul {
                        @if self.page > 1 { li { a rel="prev" href={ (at) "page=" (self.page - 1) } { "Before" } } }
                        li { span.quiet { "Page " (self.page) " of " (self.pages) } }
                        @if self.page < self.pages { li { a rel="next" href={ (at) "page=" (self.page + 1) } { "After" } } }
                    }
                }
            }
        }
    }
}

/// What was done, by the word in the address; nothing for another word.
fn done(word: &str) -> Markup {
    let sentence = match word {
        "changed" => "It was changed.",
        "disabled" => "It is disabled, and logged out everywhere.",
        "enabled" => "It can log in again.",
        "ended" => "The session was ended.",
        "made" => "It was made.",
        "members" => "The members were changed.",
        "removed" => "It was removed.",
        "unassigned" => "From now on the password alone lets it in.",
        _ => return html! {},
    };
    html! { p.card.done role="status" { (sentence) } }
}

/// A form that does one thing, with what it has to carry.
fn act(action: &str, token: &str, name: &str, content: &Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            (hidden("form", token))
            (hidden("name", name))
            (content)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_pages_with_bounds() {
        let numbers = || (0..120).collect::<Vec<_>>();
        for (asked, page, first, count) in [
            (None, 1, 0, 50),
            (Some(0), 1, 0, 50),
            (Some(2), 2, 50, 50),
            (Some(3), 3, 100, 20),
            (Some(usize::MAX), 3, 100, 20),
        ] {
            let listed = Listed::page(numbers(), asked);
            assert_eq!((listed.page, listed.items[0], listed.items.len(), listed.pages), (page, first, count, 3));
        }
        let none = Listed::page(Vec::<u8>::new(), Some(7));
        assert_eq!((none.page, none.pages, none.pager("x?").into_string().as_str()), (1, 1, ""));
        let pager = Listed::page(numbers(), Some(2)).pager("x?").into_string();
        assert!(pager.contains("href=\"x?page=1\"") && pager.contains("href=\"x?page=3\""), "{pager}");
    }
}
