"""The form of a new webhook, step by step, as a customer goes through it in a browser."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from console_pages import press
from console_site import Site

# After the details.
STEPS = ("Events", "Payload", "Headers", "Review")


def open_wizard(page: Any, site: Site) -> Wizard:
    """Open the form, empty, on a page."""
    page.goto(f"{site.url}/new?fresh=1")
    return Wizard(page, site)


@frozen
class Wizard:
    """The form of a new webhook on a page."""

    page: Any
    site: Site

    @property
    def name(self) -> Any:
        """The field of the webhook's name."""
        return self.page.get_by_label("Name", exact=True)

    def url(self, number: int = 1) -> Any:
        """Return the field of an endpoint's URL."""
        return self.page.get_by_label(f"URL of endpoint {number}", exact=True)

    def urls(self) -> list[str]:
        """Return the URLs that are entered."""
        return [one.input_value() for one in self.page.locator("input[name=endpoint_url]").all()]

    def enter_details(self, name: str = "CRM sync", url: str | None = None) -> None:
        """Enter the name and the URL, on the step of details."""
        self.name.fill(name)
        self.url().fill(url or self.site.crm())

    def begin(self, name: str = "CRM sync") -> str:
        """Enter the details, wait until they are saved by themselves, and return the page's URL."""
        self.enter_details(name)
        self.url().blur()
        self.is_saved()
        return self.page.url

    def rename(self, name: str) -> None:
        """Enter another name, and leave its field."""
        self.name.fill(name)
        self.name.blur()

    def next(self, step: str) -> None:
        """Go on to the step that follows."""
        press(self.page, "next")
        self.is_on(step)

    def jump(self, step: str) -> None:
        """Go to a step, whatever lies between."""
        press(self.page, f"step:{step.lower()}")
        self.is_on(step)

    def choose_event(self) -> None:
        """Choose an event, on the step of events."""
        self.page.get_by_role("checkbox", name="Message received").check()

    def add_header(self, name: str, value: str) -> None:
        """Enter the first header, on the step of headers."""
        press(self.page, "add-header")
        self.page.get_by_label("Name of header 1").fill(name)
        self.page.get_by_label("Value of header 1").fill(value)

    def enter_to_review(self) -> None:
        """Enter the details and an event, and go on to the last step."""
        self.enter_details()
        self.next("Events")
        self.choose_event()
        self.jump("Review")

    def create(self, button: str = "save") -> None:
        """Create the webhook, on the last step."""
        press(self.page, button)
        self.page.get_by_role("heading", name="Your webhook is ready").wait_for()

    def is_on(self, step: str) -> None:
        """Wait until a step is shown."""
        self.page.get_by_role("heading", name=step, level=2, exact=True).wait_for()

    def is_saved(self) -> None:
        """Wait until the page says that what was entered is saved."""
        self.page.locator("#kept").get_by_text("Saved", exact=True).wait_for()
