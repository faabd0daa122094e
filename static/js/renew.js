// Loads the page again every two seconds; only pages of what is under way ask for this.
setTimeout(() => location.reload(), 2000);
