runs();
over();
maps();
fronts();
curves();
document.querySelectorAll("table.sortable:not(#runs)").forEach(sortable);
addEventListener("hashchange", show);
addEventListener("resize", redraw);
show();
