"""BloodCell Lab: ``streamlit run app.py``."""

from bloodcell.ui.common.frame import navigation, sidebar

page = navigation()
sidebar()
page.run()
